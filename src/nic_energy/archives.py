"""Zip archives from elsewhere: looked at in full before anything in them is read.

Nothing is ever extracted by its own name: images are read into memory, bundles are written to
names that are checked again where they are unpacked.
"""

import stat
import struct
import unicodedata
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, NoReturn

from nic_energy.errors import InputError
from nic_energy.files import CHUNK_BYTES

MAX_DIRECTORY_BYTES = 64 * 2**20
"""Size of a zip's list of members; reading a longer one could fill the memory."""

METHODS = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflated"}
"""The others unpack without a bound on what one step may yield."""

BROKEN = (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)
"""What reading a damaged or forged archive can raise."""


@dataclass(frozen=True)
class Limits:
    """What an archive may hold: members, bytes of one and of all once unpacked, and how many
    times its packed size a member of more than `ratio_from` bytes may unpack to.
    """

    members: int
    member_bytes: int
    total_bytes: int
    ratio: float = 200.0
    ratio_from: int = 2**20


@contextmanager
def opened_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive whose list of members is of a sane size.

    Raises:
        InputError: the file cannot be read, is no zip archive, or its list is too long.
    """
    try:
        size = _directory_bytes(path)
        if size > MAX_DIRECTORY_BYTES:
            raise InputError(
                f"{path}: refused: its list of members has {size} bytes, more than "
                f"{MAX_DIRECTORY_BYTES}."
            )
        archive = zipfile.ZipFile(path)
    except BROKEN as error:
        raise InputError(f"{path}: cannot be read as a zip archive ({error}).") from error
    with archive:
        yield archive


def checked_members(
    path: Path, entries: Sequence[zipfile.ZipInfo], limits: Limits
) -> list[zipfile.ZipInfo]:
    """The files among the members of an archive, folders left out, once all are found safe.

    Args:
        path: the archive, for messages.

    Raises:
        InputError: names the first member that is not safe, and why.
    """
    if len(entries) > limits.members:
        raise InputError(
            f"{path}: refused: it has {len(entries)} members, more than {limits.members}."
        )
    files = [entry for entry in entries if not entry.is_dir()]
    seen: set[str] = set()
    for entry in files:
        reason = _unsafe_name(entry.filename) or _unsafe_kind(entry) or _unsafe_size(entry, limits)
        if entry.filename in seen:
            reason = "there are two of that name"
        if reason:
            _refuse(path, entry, reason)
        seen.add(entry.filename)
    total = sum(entry.file_size for entry in files)
    if total > limits.total_bytes:
        raise InputError(
            f"{path}: refused: unpacked it has {total} bytes, more than {limits.total_bytes}."
        )
    _refuse_overlaps(path, files)
    return files


def read_chunks(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """The bytes of a member, a part at a time and never more than it says.

    Raises:
        InputError: damaged, or it yields more or less than it says.
    """
    path, count = archive.filename, 0
    try:
        with archive.open(entry) as handle:
            while chunk := _read(handle):
                count += len(chunk)
                if count > entry.file_size:
                    break
                yield chunk
    except BROKEN as error:
        raise InputError(f"{path}: member {entry.filename!r} is damaged ({error}).") from error
    if count != entry.file_size:
        raise InputError(
            f"{path}: member {entry.filename!r} does not unpack to the {entry.file_size} bytes "
            "that it says."
        )


def _read(handle: IO[bytes]) -> bytes:
    return handle.read(CHUNK_BYTES)


def printable(name: str) -> bool:
    """Whether a name has no control character, no line break and no half of a character."""
    return not any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in name)


def _refuse(path: Path, entry: zipfile.ZipInfo, reason: str) -> NoReturn:
    raise InputError(f"{path}: member {entry.filename!r} is refused: {reason}.")


def _unsafe_name(name: str) -> str | None:
    path = PurePosixPath(name)
    if not printable(name):
        return "its name holds control characters"
    if path.is_absolute() or ".." in path.parts or "\\" in name or name[1:2] == ":":
        return "its path leaves the archive"
    return None


def _unsafe_kind(entry: zipfile.ZipInfo) -> str | None:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "it is a link"
    if kind not in (0, stat.S_IFREG):
        return "it is no plain file"
    if entry.flag_bits & 0x1:
        return "it is encrypted"
    if entry.compress_type not in METHODS:
        return f"it is packed by method {entry.compress_type}, not {' or '.join(METHODS.values())}"
    return None


def _unsafe_size(entry: zipfile.ZipInfo, limits: Limits) -> str | None:
    size = entry.file_size
    if size > limits.member_bytes:
        return f"unpacked it has {size} bytes, more than {limits.member_bytes}"
    if size > limits.ratio_from and size > limits.ratio * entry.compress_size:
        return f"it unpacks to more than {limits.ratio:g} times its packed size"
    return None


def _refuse_overlaps(path: Path, entries: Sequence[zipfile.ZipInfo]) -> None:
    """Members that share bytes make a small archive unpack to a huge one."""
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if entry.header_offset < end:
            _refuse(path, entry, "it overlaps another member")
        end = entry.header_offset + entry.compress_size


END = struct.Struct("<4s4H2LH")
ZIP64_LOCATOR = struct.Struct("<4sLQL")
ZIP64_END = struct.Struct("<4sQ2H2L4Q")
FULL = 0xFFFFFFFF
"""A size that stands in the 64-bit record instead."""


def _directory_bytes(path: Path) -> int:
    """Size of the central directory as the end records give it, the largest where they differ;
    0 where there is none, which `zipfile` will say.
    """
    with path.open("rb") as handle:
        end = handle.seek(0, 2)
        begin = max(0, end - END.size - 0xFFFF - ZIP64_LOCATOR.size - ZIP64_END.size)
        handle.seek(begin)
        tail = handle.read()
        at = len(tail) - END.size
        if at < 0 or tail[at : at + 4] != b"PK\x05\x06":
            at = tail.rfind(b"PK\x05\x06")
        if at < 0 or len(tail) - at < END.size:
            return 0
        sizes = [int(END.unpack_from(tail, at)[5])]
        locator = at - ZIP64_LOCATOR.size
        if locator < 0 or tail[locator : locator + 4] != b"PK\x06\x07":
            return sizes[0]
        for place in (
            ZIP64_LOCATOR.unpack_from(tail, locator)[2],
            begin + locator - ZIP64_END.size,
        ):
            if 0 <= place < end:
                handle.seek(place)
                record = handle.read(ZIP64_END.size)
                if len(record) == ZIP64_END.size and record[:4] == b"PK\x06\x06":
                    sizes.append(int(ZIP64_END.unpack(record)[8]))
    return max((size for size in sizes if size != FULL), default=FULL)
