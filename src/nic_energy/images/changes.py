"""How the images of a source stand to their index, which the next run brings up to date.

It stays cheap: names are listed, and only what is newer than the index is read.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nic_energy.config import Images
from nic_energy.images.index import ImageEntry, listed_images, read_index
from nic_energy.images.sources import SIZE, archive_of, opened


@dataclass(frozen=True)
class Changes:
    """Ids of the images of a source as it is now.

    Of them `added` are not in the index, and `changed` are there with other bytes or, of mere
    sizes, another size; `removed` are in the index alone. Without an index all three are empty.
    """

    images: tuple[str, ...]
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


def compare_with_index(images: Images, archive: Path | None, index: Path) -> Changes:
    """Compare a source with its index.csv.

    Args:
        archive: the zip archive, for sources `zip` and `url`.
        index: index.csv; it need not be there.

    Raises:
        InputError: the source or the index cannot be read.
    """
    archive = archive_of(images, archive)
    now = listed_images(images, archive)
    names = tuple(entry.image for entry in now)
    if not index.exists():
        return Changes(names)
    known = {entry.image: entry for entry in read_index(index)}
    return Changes(
        names,
        added=tuple(name for name in names if name not in known),
        changed=tuple(_changed(now, known, archive, index.stat().st_mtime)),
        removed=tuple(name for name in known if name not in names),
    )


def _changed(
    now: list[ImageEntry], known: dict[str, ImageEntry], archive: Path | None, indexed_s: float
) -> Iterator[str]:
    for entry in now:
        before = known.get(entry.image)
        if before is None:
            continue
        if entry.member.startswith(SIZE) or before.member.startswith(SIZE):
            differs = entry.member != before.member
        elif entry.member == before.member and not _newer(entry, archive, indexed_s):
            differs = False
        else:
            with opened(entry.member, archive) as handle:
                digest = hashlib.sha256(handle.read()).hexdigest()
            differs = digest != before.source_sha256
        if differs:
            yield entry.image


def _newer(entry: ImageEntry, archive: Path | None, indexed_s: float) -> bool:
    """Whether the file was written after the index; a photograph of scikit-image's never is."""
    path = archive or Path(entry.member)
    return path.exists() and path.stat().st_mtime > indexed_s
