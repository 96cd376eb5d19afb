"""Where images come from: a folder, a zip archive, scikit-image's photographs, or mere sizes."""

import contextlib
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from PIL import Image

from nic_energy.archives import (
    Limits,
    checked_members,
    opened_archive,
    printable,
    read_chunks,
)
from nic_energy.config import Images
from nic_energy.errors import InputError

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".jp2", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
LIMITS = Limits(members=100_000, member_bytes=512 * 2**20, total_bytes=256 * 2**30)
"""More than this, unpacked, is no collection of photographs."""

SIZE = "size:"
"""How the place of an image begins that is nothing but a size."""

PHOTOGRAPHS = (
    "astronaut.png",
    "cell.png",
    "chelsea.png",
    "clock_motion.png",
    "coffee.png",
    "coins.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "moon.png",
    "motorcycle_left.png",
    "retina.jpg",
    "rocket.jpg",
)
"""Photographs that lie in scikit-image's own package, so that they need no download."""


@dataclass(frozen=True)
class Member:
    """An image of a source: the name of its file, for people and for its id."""

    name: str
    place: str


def members(images: Images, archive: Path | None) -> list[Member]:
    """The images of a source, in alphabetical order.

    Args:
        archive: see `archive_of`.

    Raises:
        InputError: the source is not there, holds no image, or an archive is not safe.
    """
    if archive is not None:
        found = _in_archive(archive)
    elif images.source == "folder":
        found = _in_folder(Path(str(images.path)))
    elif images.source == "sizes":
        found = _in_table(Path(str(images.path)), images.max_megapixels)
    else:
        found = [Member(name, f"skimage:{name}") for name in PHOTOGRAPHS]
    if not found:
        raise InputError(
            f"images: no image in {images.path or archive or images.source}; "
            f"files must end with {', '.join(sorted(SUFFIXES))}."
        )
    for member in found:
        if not printable(member.place):
            raise InputError(
                f"images: the name {member.place!r} holds control characters; give the file "
                "another one."
            )
    return sorted(found, key=lambda member: member.name)


@contextlib.contextmanager
def opened(member: str, archive: Path | None) -> Iterator[IO[bytes]]:
    """Open an image of a source for reading.

    Args:
        member: the `place` of the image.

    Raises:
        InputError: it is not there or cannot be read.
    """
    try:
        if member.startswith("skimage:"):
            import skimage.data

            path = Path(skimage.data.__file__).parent / member.removeprefix("skimage:")
            with path.open("rb") as handle:
                yield handle
        elif member.startswith(SIZE):
            yield _grey(member.removeprefix(SIZE))
        elif archive is not None:
            yield io.BytesIO(_read(archive, member))
        else:
            with Path(member).open("rb") as handle:
                yield handle
    except (OSError, KeyError) as error:
        raise InputError(f"{archive or ''} {member}: cannot be read ({error}).".strip()) from error


def _grey(size: str) -> io.BytesIO:
    """A plain grey image of a size such as 640x427: a virtual GPU looks at its size only."""
    width, height = (int(part) for part in size.split("x"))
    handle = io.BytesIO()
    Image.new("RGB", (width, height), (128, 128, 128)).save(handle, format="PNG")
    handle.seek(0)
    return handle


def archive_of(images: Images, archive: Path | None) -> Path | None:
    """The zip archive of a source: the one given, or `images.path`; None for other sources."""
    if images.source not in ("zip", "url"):
        return None
    return archive if archive is not None else Path(str(images.path))


def _is_image(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _in_folder(folder: Path) -> list[Member]:
    if not folder.is_dir():
        raise InputError(f"images.path: {folder} is no folder.")
    return [Member(path.name, str(path)) for path in image_files(folder)]


def image_files(folder: Path) -> list[Path]:
    """The images of a folder by their names, in alphabetical order; none where it is none."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_file() and _is_image(path.name))


def _in_table(path: Path, max_megapixels: float) -> list[Member]:
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
        sizes = [(row["image"], int(row["width"]), int(row["height"])) for row in rows]
        if unusable := [name for name, *size in sizes if min(size) < 1]:
            raise ValueError(f"{unusable[0]} has no pixels")
        if large := [name for name, w, h in sizes if w * h > max_megapixels * 1e6]:
            raise ValueError(f"{large[0]} has more than images.max_megapixels ({max_megapixels:g})")
        if len({name for name, *_ in sizes}) < len(sizes):
            raise ValueError("an image stands there twice")
        return [Member(name, f"{SIZE}{width}x{height}") for name, width, height in sizes]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: is no table of sizes ({error}); its columns are image, width, height."
        ) from error


def _in_archive(archive: Path) -> list[Member]:
    with opened_archive(archive) as bundle:
        pictures = [
            entry
            for entry in bundle.infolist()
            if "__MACOSX" not in PurePosixPath(entry.filename).parts and _is_image(entry.filename)
        ]
        entries = checked_members(archive, pictures, LIMITS)
    return [Member(PurePosixPath(entry.filename).name, entry.filename) for entry in entries]


def _read(archive: Path, member: str) -> bytes:
    with opened_archive(archive) as bundle:
        (entry,) = checked_members(archive, [bundle.getinfo(member)], LIMITS)
        return b"".join(read_chunks(bundle, entry))
