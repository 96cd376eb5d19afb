"""The image index: ids, sizes and digests of the images of a collection."""

import csv
import difflib
import hashlib
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from nic_energy.config import Images
from nic_energy.errors import InputError
from nic_energy.files import write_text
from nic_energy.images.decode import opened_image, scaled_size, upright_size
from nic_energy.images.sources import Member, archive_of, members, opened

COLUMNS = ("image", "member", "source_sha256", "width", "height")
MAX_ID = 100


@dataclass(frozen=True)
class ImageEntry:
    """An image: its id (safe as a file name, unique), where it lies in the source, the digest
    of its file there, and its size in pixels once upright and scaled.
    """

    image: str
    member: str
    source_sha256: str
    width: int
    height: int


def index_images(images: Images, archive: Path | None) -> list[ImageEntry]:
    """List the images of a source and check them against what the configuration expects.

    Args:
        archive: the zip archive, for sources `zip` and `url`.

    Raises:
        InputError: an image is corrupt, or count, pixel sum or a selected id is not as expected.
    """
    archive = archive_of(images, archive)
    found = members(images, archive)
    sizes, entries = [], []
    for member, image in zip(found, ids(found), strict=True):
        digest, size = _looked_at(member, archive, images.max_megapixels)
        sizes.append(size)
        entries.append(
            ImageEntry(
                image, member.place, digest, *scaled_size(*size, images.scale, images.max_side)
            )
        )
    _check_expected(images, sizes)
    return sorted(_selected(images, entries), key=lambda entry: entry.image)


def listed_images(images: Images, archive: Path | None) -> list[ImageEntry]:
    """As `index_images` by the names alone: no image is opened, digests are empty and sizes 0.

    Raises:
        InputError: the source is not there, holds no image or another number than expected, or
            not one that is selected.
    """
    found = members(images, archive_of(images, archive))
    _check_count(images, len(found))
    entries = [
        ImageEntry(image, member.place, "", 0, 0)
        for member, image in zip(found, ids(found), strict=True)
    ]
    return sorted(_selected(images, entries), key=lambda entry: entry.image)


def index_file(path: Path, max_megapixels: float) -> ImageEntry:
    """The entry of one image file at its own size.

    Raises:
        InputError: it cannot be read as an image.
    """
    member = Member(path.name, str(path))
    digest, size = _looked_at(member, None, max_megapixels)
    return ImageEntry(ids([member])[0], member.place, digest, *size)


def _looked_at(
    member: Member, archive: Path | None, max_megapixels: float
) -> tuple[str, tuple[int, int]]:
    """Digest of the file, and the size of the image once upright."""
    with opened(member.place, archive) as handle:
        digest = hashlib.sha256(handle.read()).hexdigest()
        handle.seek(0)
        with opened_image(handle, member.name, max_megapixels) as picture:
            return digest, upright_size(picture)


def ids(found: Sequence[Member]) -> list[str]:
    """Ids from the file names: letters, digits, '.', '_' and '-'; a clash (also in upper and
    lower case) gets a short hash of the full name, for every image of the clash.
    """
    plain = [_safe(PurePosixPath(member.name).stem) for member in found]
    times = Counter(name.lower() for name in plain)
    return [
        name
        if times[name.lower()] == 1
        else f"{name}-{hashlib.sha256(member.place.encode()).hexdigest()[:8]}"
        for name, member in zip(plain, found, strict=True)
    ]


def _safe(stem: str) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", stem).lstrip(".-")[:MAX_ID]
    return name or "image"


def check_id(image: str) -> str:
    """The id of an image, once it is safe as the name of a file.

    Raises:
        ValueError: it is not.
    """
    if len(image) > MAX_ID + 9 or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", image):
        raise ValueError(f"{image[:MAX_ID]!r} is no id of an image")
    return image


def _check_count(images: Images, count: int) -> None:
    if images.count is not None and count != images.count:
        raise InputError(
            f"images: {count} images found, {images.count} expected (images.count; null "
            "skips the check)."
        )


def _check_expected(images: Images, sizes: Sequence[tuple[int, int]]) -> None:
    _check_count(images, len(sizes))
    total = sum(width * height for width, height in sizes)
    if images.pixel_sum is not None:
        least, most = images.pixel_sum
        if not least <= total <= most:
            raise InputError(
                f"images: {total} pixels in all, expected {least} to {most} (images.pixel_sum; "
                "null skips the check). This is another image set."
            )


def _selected(images: Images, entries: list[ImageEntry]) -> list[ImageEntry]:
    if images.select is None:
        return entries
    if isinstance(images.select, int):
        return sorted(entries, key=lambda entry: entry.image)[: images.select]
    return [entry_of(entries, image) for image in images.select]


def entry_of(entries: Sequence[ImageEntry], image: str) -> ImageEntry:
    """The entry of an image.

    Raises:
        InputError: there is none; names those that are like it.
    """
    for entry in entries:
        if entry.image == image:
            return entry
    known = [entry.image for entry in entries]
    near = difflib.get_close_matches(image, known, n=3) or known[:5]
    raise InputError(f"image {image!r} is not in the collection; like it: {', '.join(near)}.")


def write_index(path: Path, entries: Sequence[ImageEntry]) -> None:
    """Write index.csv."""
    write_text(path, index_text(entries))


def index_text(entries: Sequence[ImageEntry]) -> str:
    """index.csv as text."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(entry) for entry in entries)
    return out.getvalue()


def read_index(path: Path) -> list[ImageEntry]:
    """Read index.csv.

    Raises:
        InputError: the file is no image index, or an id could leave its folder.
    """
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            entries = [
                ImageEntry(
                    check_id(row["image"]),
                    row["member"],
                    row["source_sha256"],
                    int(row["width"]),
                    int(row["height"]),
                )
                for row in csv.DictReader(handle)
            ]
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise InputError(
            f"{path}: is no image index ({error!r}); delete it and run again."
        ) from error
    if len({entry.image.lower() for entry in entries}) < len(entries):
        raise InputError(f"{path}: an image stands there twice; delete it and run again.")
    return entries
