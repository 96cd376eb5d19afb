"""The bundle as a zip archive: the same files give the same bytes, on every machine.

Members are stored, not compressed. Traces are compressed already (zstd, inside Parquet), a
compressor's output changes with its version, and an archive that compresses nothing cannot
unpack to more than its own size. Order, times and modes are fixed.
"""

import hashlib
import io
import logging
import stat
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NoReturn

from nic_energy.archives import checked_members, opened_archive, read_chunks
from nic_energy.bundle.layout import (
    LIMITS,
    MANIFEST,
    TEXT_BYTES,
    VERSION,
    kind_of,
    minor,
)
from nic_energy.bundle.manifest import FileEntry, Manifest, parse
from nic_energy.errors import BundleError, InputError, StoreError
from nic_energy.files import CHUNK_BYTES

log = logging.getLogger(__name__)

EARLIEST = (1980, 1, 1, 0, 0, 0)
"""The first moment that a zip archive can name."""
MODE = stat.S_IFREG | 0o644
REPORT_S = 5.0
MOST_NAMED = 10

Content = Path | bytes


class Progress:
    """Says from time to time how many bytes are done."""

    def __init__(self, doing: str, total: int) -> None:
        self._doing, self._total, self._done = doing, total, 0
        self._reported = time.monotonic()

    def add(self, count: int) -> None:
        """So many bytes more."""
        self._done += count
        if time.monotonic() - self._reported > REPORT_S:
            self._reported = time.monotonic()
            log.info("%s: %.0f of %.0f MB", self._doing, self._done / 1e6, self._total / 1e6)


def write_archive(
    target: Path,
    members: Mapping[str, Content],
    manifest_of: Callable[[Mapping[str, FileEntry]], Manifest],
) -> Manifest:
    """Write the members in alphabetical order and the manifest of their digests behind them.

    Args:
        manifest_of: the manifest with the entries of all members, made while they are written.

    Raises:
        StoreError: a member cannot be read.
    """
    total = sum(_size(content) for content in members.values())
    progress = Progress(f"writing {target.name}", total)
    entries: dict[str, FileEntry] = {}
    with zipfile.ZipFile(target, "w") as archive:
        for name in sorted(members):
            content = members[name]
            entries[name] = _copy(archive, name, _size(content), _chunks(content), progress.add)
        manifest = manifest_of(entries)
        data = manifest.to_bytes()
        _copy(archive, MANIFEST, len(data), [data], progress.add)
    return manifest


def _size(content: Content) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _chunks(content: Content) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    try:
        with content.open("rb") as handle:
            while chunk := handle.read(CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise StoreError(f"{content}: cannot be read ({error.strerror}).") from error


def _copy(
    archive: zipfile.ZipFile,
    name: str,
    size: int,
    chunks: Iterable[bytes],
    count: Callable[[int], None],
) -> FileEntry:
    entry = zipfile.ZipInfo(name, EARLIEST)
    entry.create_system = 3
    entry.external_attr = MODE << 16
    entry.file_size = size
    digest, written = hashlib.sha256(), 0
    with archive.open(entry, "w") as out:
        for chunk in chunks:
            out.write(chunk)
            digest.update(chunk)
            written += len(chunk)
            count(len(chunk))
    return FileEntry(written, digest.hexdigest())


def unpack(path: Path, folder: Path) -> Manifest:
    """Check the bytes of a bundle and write its files to a new folder.

    Args:
        folder: an empty folder of ours.

    Returns:
        The manifest, whose sizes and digests the files have.

    Raises:
        InputError: there is no such file.
        BundleError: it is no bundle, is not safe, or is not what its manifest says: any changed
            byte, also of the archive's own records; names the files.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file.")
    try:
        with opened_archive(path) as archive, path.open("rb") as original:
            entries = _members(path, archive)
            manifest = _manifest(archive, entries)
            _check_list(manifest, entries)
            problems = _unpack(archive, entries, manifest, folder, original)
    except (BundleError, InputError) as error:
        _refuse(path, [str(error).removeprefix(f"{path}: ").rstrip(".")])
    if problems:
        _refuse(path, problems)
    return manifest


def _refuse(path: Path, problems: list[str]) -> NoReturn:
    more = len(problems) - MOST_NAMED
    listed = [*problems[:MOST_NAMED], *([f"and {more} more"] if more > 0 else [])]
    raise BundleError(f"{path}: is refused: " + "; ".join(listed) + ".")


def _members(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    entries = {entry.filename: entry for entry in checked_members(path, archive.infolist(), LIMITS)}
    if len(entries) < len(archive.infolist()):
        raise BundleError("it holds folders; only files have a place in a bundle")
    if MANIFEST not in entries:
        raise BundleError("it is no bundle: there is no manifest.json in it")
    packed = [name for name, e in entries.items() if e.compress_type != zipfile.ZIP_STORED]
    if packed:
        raise BundleError(f"{packed[0]!r} is compressed; members of a bundle are stored")
    if len({name.lower() for name in entries}) < len(entries):
        raise BundleError("two names differ in upper and lower case only")
    return entries


def _manifest(archive: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo]) -> Manifest:
    if entries[MANIFEST].file_size > TEXT_BYTES:
        raise BundleError(f"manifest.json has more than {TEXT_BYTES} bytes")
    return parse(b"".join(read_chunks(archive, entries[MANIFEST])))


def _check_list(manifest: Manifest, entries: Mapping[str, zipfile.ZipInfo]) -> None:
    """Nothing extra, nothing missing, and every file where the format has a place for it."""
    names = set(entries) - {MANIFEST}
    problems = [f"{name!r} is in no manifest" for name in sorted(names - set(manifest.files))]
    problems += [f"{name!r} is missing" for name in sorted(set(manifest.files) - names)]
    later = minor(manifest.version) > minor(VERSION)
    for name in sorted(names):
        kind = kind_of(name)
        if kind is None and not later:
            problems.append(f"{name!r} has no place in a bundle")
        if kind in ("input", "table") and entries[name].file_size > TEXT_BYTES:
            problems.append(f"{name!r} has more than {TEXT_BYTES} bytes")
    if problems:
        raise BundleError("; ".join(problems[:MOST_NAMED]))


def _unpack(
    archive: zipfile.ZipFile,
    entries: Mapping[str, zipfile.ZipInfo],
    manifest: Manifest,
    folder: Path,
    original: IO[bytes],
) -> list[str]:
    """Write the files out, and the archive anew against itself; says what is not as it should be.

    A file of a later version that has no place in this one is checked and not written.
    """
    problems: list[str] = []
    against = Against(original)
    progress = Progress("checking", sum(entry.file_size for entry in entries.values()))
    names = [*sorted(set(entries) - {MANIFEST}), MANIFEST]
    with zipfile.ZipFile(against, "w") as again:
        for name in names:
            chunks = read_chunks(archive, entries[name])
            if name == MANIFEST or kind_of(name) is not None:
                chunks = _written(chunks, folder / name)
            found = _copy(again, name, entries[name].file_size, chunks, progress.add)
            if name != MANIFEST and found != manifest.files[name]:
                problems.append(f"{name!r} is not what the manifest says (SHA-256 or size)")
    if not problems and not against.equal():
        problems.append("the archive's own records are not those of a bundle")
    return problems


def _written(chunks: Iterator[bytes], path: Path) -> Iterator[bytes]:
    """The chunks, each once it is written to a file that was not there before."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as out:
            for chunk in chunks:
                out.write(chunk)
                yield chunk
    except OSError as error:
        raise StoreError(
            f"{path}: not written, {error.strerror or error}. A bundle is unpacked to be checked; "
            "TMPDIR can name a folder with more space."
        ) from error


class Against(io.RawIOBase):
    """A file to write to that keeps nothing: it tells whether another one holds the same bytes.

    `zipfile` writes the header of a member twice, so what differs at first may be equal later.
    """

    def __init__(self, original: IO[bytes]) -> None:
        self._original = original
        self._size = original.seek(0, io.SEEK_END)
        self._position = self._end = 0
        self._differing: set[int] = set()

    def writable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Where the next byte goes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position from the start or the end."""
        self._position = offset + (self._end if whence == io.SEEK_END else 0)
        return self._position

    def write(self, data: Any) -> int:
        """Compare the bytes with those of the other file at this position."""
        block = bytes(data)
        self._original.seek(self._position)
        self._differing.discard(self._position)
        if self._original.read(len(block)) != block:
            self._differing.add(self._position)
        self._position += len(block)
        self._end = max(self._end, self._position)
        return len(block)

    def equal(self) -> bool:
        """Whether all that was written is the other file, byte for byte."""
        return not self._differing and self._end == self._size
