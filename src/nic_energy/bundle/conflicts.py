"""What keeps bundles from being put together, and what differs without keeping them."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from nic_energy.bundle.layout import kind_of
from nic_energy.bundle.manifest import Manifest
from nic_energy.bundle.tolerance import read_cells, same
from nic_energy.bundle.verify import Report, images_of
from nic_energy.config.settings import differences
from nic_energy.images.index import ImageEntry
from nic_energy.images.sources import SIZE
from nic_energy.traces import read_meta

MOST_NAMED = 5
CONTENT = ("trace", "input", "reference")
KMAC = "kmac_per_pixel"


@dataclass(frozen=True)
class Candidate:
    """A verified bundle that is to be merged: its unpacked files and the label it gets."""

    report: Report
    folder: Path
    manifest: Manifest
    setup: str

    @property
    def name(self) -> str:
        """Its file, for messages."""
        return self.report.path.name

    @property
    def uuid(self) -> str | None:
        """UUID of its device; None where the energies were brought as a table."""
        return self.manifest.device.uuid if self.manifest.device else None

    def content(self) -> dict[str, str]:
        """Digests of what was measured and with what, by file."""
        files = self.manifest.files
        return {n: entry.sha256 for n, entry in files.items() if kind_of(n) in CONTENT}


def without_doubles(candidates: Sequence[Candidate]) -> tuple[list[Candidate], list[str]]:
    """The candidates with the same set-up of the same content only once, and notes on that."""
    kept: list[Candidate] = []
    notes: list[str] = []
    for each in candidates:
        twin = next(
            (k for k in kept if k.setup == each.setup and k.content() == each.content()), None
        )
        if twin is None:
            kept.append(each)
        else:
            notes.append(f"{each.name} holds what {twin.name} holds; it is taken once")
    return kept, notes


def conflicts(candidates: Sequence[Candidate]) -> list[str]:
    """Why the bundles cannot be put together; none where they can."""
    found: list[str] = []
    for one, two in combinations(candidates, 2):
        found += _labels(one, two)
        found += _limited(_traces(one, two))
        found += _limited(_images(one, two))
        found += _limited(_complexity(one, two))
        found += _limited(_weights(one, two))
    return found


def _limited(problems: Iterator[str]) -> list[str]:
    listed = list(problems)
    more = len(listed) - MOST_NAMED
    return [*listed[:MOST_NAMED], *([f"and {more} more of that kind"] if more > 0 else [])]


def _labels(one: Candidate, two: Candidate) -> Iterator[str]:
    if one.setup.lower() != two.setup.lower():
        return
    remedy = f"Give one of them another label: --rename {two.name}=LABEL"
    if one.setup != two.setup:
        yield (
            f"the labels {one.setup} of {one.name} and {two.setup} of {two.name} differ in upper "
            f"and lower case only. {remedy}"
        )
    elif one.uuid != two.uuid:
        yield (
            f"{one.name} and {two.name} both have the set-up {one.setup}, but of different devices "
            f"({one.uuid} and {two.uuid}). {remedy}"
        )
    else:
        mine, other = one.content(), two.content()
        differing = sum(mine.get(n) != other.get(n) for n in {*mine, *other})
        yield (
            f"{one.name} ({one.manifest.modalities} modalities) and {two.name} "
            f"({two.manifest.modalities}) are the same set-up {one.setup} on the same device with "
            f"other content ({differing} files differ). Take only the newer one, or: "
            f"{remedy.removeprefix('Give one of them another label: ')}"
        )


def _traces(one: Candidate, two: Candidate) -> Iterator[str]:
    """The same measurement under two labels would count twice."""
    if one.setup == two.setup:
        return
    known = {digest: n for n, digest in one.content().items() if kind_of(n) == "trace"}
    for name, digest in sorted(two.content().items()):
        if kind_of(name) == "trace" and digest in known:
            yield (
                f"{name} of {two.name} ({two.setup}) is the very trace {known[digest]} of "
                f"{one.name} ({one.setup}); a measurement counts once"
            )


def _images(one: Candidate, two: Candidate) -> Iterator[str]:
    """The same id for different images. Images that are mere sizes are compared by size."""
    mine, other = images_of(one.folder), images_of(two.folder)
    for image in sorted(set(mine) & set(other)):
        a, b = mine[image], other[image]
        if (a.width, a.height) != (b.width, b.height):
            yield (
                f"image {image} has {a.width}x{a.height} pixels in {one.name} and "
                f"{b.width}x{b.height} in {two.name}"
            )
        elif not _same_image(a, b):
            yield (
                f"image {image} is another image in {two.name} (SHA-256 {b.source_sha256[:12]}) "
                f"than in {one.name} ({a.source_sha256[:12]})"
            )


def _same_image(a: ImageEntry, b: ImageEntry) -> bool:
    sizes = a.member.startswith(SIZE) and b.member.startswith(SIZE)
    return sizes or a.source_sha256 == b.source_sha256


def _complexity(one: Candidate, two: Candidate) -> Iterator[str]:
    """Networks of one name that are not one network: other operations, parameters or levels."""
    mine, other = _counts(one.folder), _counts(two.folder)
    for key in sorted(set(mine) & set(other)):
        for column in sorted(set(mine[key]) & set(other[key])):
            a, b = mine[key][column], other[key][column]
            if not same(a, b):
                yield (
                    f"network {key[0]} quality {key[1]} has {column} {a} in {one.name} and {b} in "
                    f"{two.name}: not the same network"
                )


def _counts(folder: Path) -> dict[tuple[str, str], dict[str, str]]:
    """Rows of complexity.csv by network and quality; the abbreviation may differ."""
    table = read_cells(folder / "complexity.csv")
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    known = ("level", "parameters", "pad_multiple")
    return {
        (row["network"], row["quality"]): {
            name: cell for name, cell in row.items() if name in known or name.startswith(KMAC)
        }
        for row in rows
    }


def _weights(one: Candidate, two: Candidate) -> Iterator[str]:
    """Pretrained weights of the same network and quality that are not the same file."""
    mine, other = weights_of(one), weights_of(two)
    for key in sorted(set(mine) & set(other)):
        if mine[key] != other[key]:
            yield (
                f"network {key[0]} quality {key[1]} ran with the weights "
                f"{', '.join(sorted(mine[key]))} in {one.name} and "
                f"{', '.join(sorted(other[key]))} in {two.name}"
            )


def weights_of(candidate: Candidate) -> dict[tuple[str, int], set[str]]:
    """Files of the pretrained weights that the traces name, by network and quality; their names
    hold the digest that was checked when they were loaded.
    """
    found: dict[tuple[str, int], set[str]] = defaultdict(set)
    for name in sorted(candidate.manifest.files):
        if kind_of(name) != "trace":
            continue
        meta = read_meta(candidate.folder / name)
        weights = meta.run.get("weights")
        if isinstance(weights, Mapping) and weights.get("kind") == "pretrained" and meta.modality:
            key = (meta.modality.network, meta.modality.quality)
            found[key].add(str(weights.get("file")))
    return found


def remarks(candidates: Sequence[Candidate]) -> list[str]:
    """What differs between the set-ups and does not keep them apart."""
    found: list[str] = []
    sources: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for each in candidates:
        sources[each.manifest.sources].append(each.setup)
    if len(sources) > 1:
        kinds = "; ".join(f"{', '.join(k)}: {', '.join(v)}" for k, v in sorted(sources.items()))
        found.append(f"joules of different sources lie side by side ({kinds})")
    first = candidates[0]
    for each in candidates[1:]:
        pieces = differences(each.manifest.settings or {}, first.manifest.settings or {})
        if pieces:
            shown = ", ".join(pieces[:MOST_NAMED])
            found.append(f"run settings differ from {first.setup} to {each.setup}: {shown}")
    for each in candidates:
        if each.manifest.publication.licence is None:
            found.append(f"{each.name} names no licence: ask its lab before you publish with it")
    return found
