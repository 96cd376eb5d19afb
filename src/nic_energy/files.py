"""Files that appear whole or not at all, and their digests."""

import contextlib
import errno
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nic_energy.errors import StoreError

CHUNK_BYTES = 1 << 20
LEFTOVER_S = 3600.0
"""No file takes so long to write: a partial one that old was left by a process that was killed."""


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; rename it into place on success.

    The bytes are on disk before the rename, so a crash leaves the old file or the new one,
    never a part. On any error the partial file is removed; those of processes that were killed
    are removed when they are `LEFTOVER_S` old.

    Raises:
        StoreError: the disk is full or the folder cannot be written.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(3)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path.parent)
        yield partial
        with partial.open("rb") as handle:
            os.fsync(handle.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise StoreError(_explain(path, error)) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def _explain(path: Path, error: OSError) -> str:
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"{path}: not written, {reason}. Free some space on the file system of "
            f"{path.parent} and run again; finished measurements are kept."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"{path}: not written, {reason}. Make {path.parent} writable for this user and run "
            "again; finished measurements are kept."
        )
    return f"{path}: not written, {reason}."


def _remove_leftovers(folder: Path) -> None:
    for partial in folder.glob(".*.part"):
        with contextlib.suppress(OSError):
            if time.time() - partial.stat().st_mtime > LEFTOVER_S:
                partial.unlink()


def require_room(folder: Path, least_bytes: int) -> None:
    """Refuse to begin what could not be written at its end.

    Args:
        folder: where it will be written; it need not be there yet.

    Raises:
        StoreError: this user may not write there, or the file system is nearly full.
    """
    there = Path(folder).absolute()
    try:
        while not there.exists():
            there = there.parent
        free = shutil.disk_usage(there).free
    except OSError as error:
        raise StoreError(f"{folder}: cannot be reached, {error.strerror or error}.") from error
    if not there.is_dir():
        raise StoreError(f"{there}: is no folder, so nothing can be written to {folder}; move it.")
    if not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        raise StoreError(
            f"{there}: this user may not read and write there. Change its owner or its "
            "permissions (chown, chmod), or start from another working directory."
        )
    if free < least_bytes:
        raise StoreError(
            f"{folder}: only {free / 2**20:.0f} MiB are free on its file system, less than the "
            f"{least_bytes / 2**20:.0f} MiB that are held ready for a trace and its tables. Free "
            "some space and run again; finished measurements are kept."
        )


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def write_with(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write` with a partial path and rename the result into place."""
    with atomic_path(path) as partial:
        write(partial)


def link_or_copy(source: Path, target: Path) -> None:
    """Make `target` a hard link to `source`, or a copy where links are impossible."""
    with atomic_path(target) as partial:
        try:
            os.link(source, partial)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.ENOENT):
                raise
            partial.write_bytes(source.read_bytes())


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file."""
    return _digest(path, "sha256")


def md5(path: Path) -> str:
    """Hex MD5 of a file (for published checksums only)."""
    return _digest(path, "md5")


def _digest(path: Path, algorithm: str) -> str:
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with Path(path).open("rb") as handle:
        while chunk := handle.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def canonical_json(value: Any) -> str:
    """One line of JSON that is equal for equal values: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest_of(value: Any) -> str:
    """First 16 hex digits of the SHA-256 of `canonical_json(value)`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]
