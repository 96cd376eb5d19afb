"""The images that a plan counts: those of the source as it is now, not as it was indexed."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from nic_energy.campaign import State, indexed_images, trace_path
from nic_energy.config import Config
from nic_energy.errors import InputError
from nic_energy.files import sha256
from nic_energy.images import Changes, compare_with_index
from nic_energy.traces import TraceMeta

SHOWN = 5
"""So many names are said of each kind of change."""


@dataclass(frozen=True)
class Planned:
    """Ids of the images (None while nobody knows them), those that changed, and what to say."""

    images: list[str] | None
    changed: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


def planned_images(config: Config) -> Planned:
    """The images of a campaign as the run will find them.

    The index is made by a job, so that it is older than images that were just added; an archive
    that is still to be downloaded says nothing yet. A source that cannot be used leaves the index.
    """
    folder = _folder(config)
    archive = folder / "archive.zip" if config.images.source == "url" else None
    if archive is not None and not archive.exists():
        return Planned(indexed_images(config))
    try:
        found = compare_with_index(config.images, archive, folder / "index.csv")
    except InputError as error:
        known = indexed_images(config)
        counted = "" if known is None else " Counted as they were indexed."
        return Planned(known, notes=(f"The images cannot be used: {error}{counted}",))
    return Planned(list(found.images), frozenset(found.changed), tuple(_notes(found)))


def _notes(found: Changes) -> Iterable[str]:
    for names, what in (
        (found.added, "new"),
        (found.changed, "changed, and are measured again"),
        (found.removed, "no longer among them; their traces stay"),
    ):
        if names:
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            yield f"Since the images were indexed, {what}: {', '.join(names[:SHOWN])}{more}."


def with_changed(config: Config, found: State, changed: frozenset[str]) -> State:
    """The state of a campaign in which traces of images that changed count as stale: in the
    source, or prepared anew since their measurement.
    """

    @cache
    def digest(path: Path) -> str:
        return sha256(path)

    def stands(meta: TraceMeta) -> bool:
        assert meta.modality is not None
        image = meta.modality.image
        prepared = _folder(config) / "png" / f"{image.image}.png"
        trace = trace_path(config.setup, *_key(meta))
        if image.image in changed:
            return False
        if not prepared.exists() or prepared.stat().st_mtime <= trace.stat().st_mtime:
            return True
        return digest(prepared) == image.sha256

    kept = [stands(meta) for meta in found.finished]
    anew = tuple(_key(m) for m, keep in zip(found.finished, kept, strict=True) if not keep)
    if not anew:
        return found
    return replace(
        found,
        done=found.done - len(anew),
        stale={**found.stale, "the image changed": len(anew)},
        seconds=tuple(s for s, keep in zip(found.seconds, kept, strict=True) if keep),
        left=(*found.left, *anew),
        finished=tuple(m for m, keep in zip(found.finished, kept, strict=True) if keep),
    )


def _key(meta: TraceMeta) -> tuple[str, str, int, str]:
    modality = meta.modality
    assert modality is not None
    return modality.part, modality.network, modality.quality, modality.image.image


def _folder(config: Config) -> Path:
    return Path("results") / "images" / config.images.collection
