"""A campaign as a list of modalities: what is done, what is stale, how long it takes."""

import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from nic_energy import fingerprint
from nic_energy.config import Config
from nic_energy.config.settings import differences, resolved
from nic_energy.errors import StoreError
from nic_energy.files import digest_of
from nic_energy.store import modality_key, same_network
from nic_energy.traces import TraceMeta, read_document, read_meta

WARM_UP_S = 8.0
"""Starting a process, importing torch and loading a network, roughly."""


def setup_folder(setup: str) -> Path:
    """Folder of a set-up's results, relative to the working directory."""
    return Path("results") / setup


def compared_folder(entry: str) -> Path:
    """Folder of a set-up to compare: a label alone names one under results/."""
    path = Path(entry)
    return path if len(path.parts) > 1 else setup_folder(entry)


def trace_path(setup: str, part: str, network: str, quality: int, image: str) -> Path:
    """The trace of a modality, relative to the working directory."""
    key = modality_key(part, network, quality, image)
    return setup_folder(setup) / "traces" / f"{key}.parquet"


def passport_path(setup: str) -> Path:
    """The passport of the set-up's power sensor, relative to the working directory."""
    return setup_folder(setup) / "reference" / "passport.json"


def keys(config: Config, images: Sequence[str]) -> list[tuple[str, str, int, str]]:
    """All modalities of a campaign: (part, network, quality, image)."""
    return [
        (part, network, quality, image)
        for part in config.parts
        for network, quality in config.points
        for image in images
    ]


def measuring_order(config: Config, images: Sequence[str]) -> list[tuple[str, str, int, str]]:
    """All modalities in the order in which they are measured.

    The images are dealt at random into `order_blocks` blocks; in each block the networks and
    quality levels come in a random order, each with all images of the block in a random order. One
    block visits every network once (least loading and preheating); as many blocks as images
    measure every network once in each (drift falls on all alike).
    """
    random = Random(config.document["seed"])  # noqa: S311 - an order, not a secret
    dealt = random.sample(list(images), len(images))
    count = min(int(config.document["order_blocks"]), max(1, len(dealt)))
    groups = [(part, *point) for part in config.parts for point in config.points]
    order = []
    for block in range(count):
        own = dealt[block::count]
        for group in random.sample(groups, len(groups)):
            order += [(*group, image) for image in random.sample(own, len(own))]
    return order


def indexed_images(config: Config) -> list[str] | None:
    """Ids of the campaign's images, None while they are not indexed."""
    path = Path("results") / "images" / config.images.collection / "index.csv"
    if not path.exists():
        return None
    with path.open(encoding="utf-8", newline="") as handle:
        return [row["image"] for row in csv.DictReader(handle)]


def expected_images(config: Config) -> int | None:
    """How many images the configuration says there are, None where it does not say."""
    select = config.images.select
    if isinstance(select, int):
        return select
    return len(select) if select else config.images.count


def networks_of_table(config: Config) -> list[str]:
    """Networks of the `energy_table`, sorted; none while it cannot be read.

    What is wrong with the table, networks that there are not among it, is said by the job that
    reads all of it.
    """
    path = Path(config.document["energy_table"])
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            named = {row.get("network") for row in csv.DictReader(handle)}
            return sorted(name for name in config.networks if name in named)
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


class Staleness:
    """Whether traces have to be measured again: other settings, code or network, or not readable.

    Asked for every modality as a run begins, so it computes what they share once.
    """

    def __init__(self, config: Config, code_fingerprint: str) -> None:
        self._setup, self._code = config.setup, code_fingerprint
        self._settings = config.settings()
        self._rows = {
            name: fingerprint.of_network(config.networks[name]) for name, _ in config.points
        }

    def of(self, part: str, network: str, quality: int, image: str) -> bool:
        """Whether there is a trace of a modality that has to be measured again."""
        path = trace_path(self._setup, part, network, quality, image)
        if not path.exists():
            return False
        try:
            document = read_document(path)
            return (
                bool(differences(self._settings, document["settings"]))
                or document["code_fingerprint"] != self._code
                or not same_network(document["run"].get("network"), self._rows[network])
            )
        except (StoreError, KeyError, TypeError, AttributeError):
            return True


def passport_is_stale(config: Config, code_fingerprint: str) -> bool:
    """Whether there is a passport of the power sensor that has to be measured again: other
    settings or code, or not readable.
    """
    path = passport_path(config.setup)
    if not path.exists():
        return False
    document = _passport(path)
    digest = digest_of(config.passport_settings())
    return (document.get("settings_digest"), document.get("code_fingerprint")) != (
        digest,
        code_fingerprint,
    )


def _passport(path: Path) -> Mapping[str, Any]:
    """The document of a passport; empty where it is none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def duration(seconds: float) -> str:
    """A duration for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"


@dataclass(frozen=True)
class Estimate:
    """Expected time of a campaign in s, from the fewest to the most windows a modality."""

    modality_least_s: float
    modality_most_s: float


def estimate(config: Config) -> Estimate:
    """Time of one modality from the protocol: K windows of M executions with their lead-ins.

    M follows from the least duration of a window, so a window takes that long whatever the
    network, or one execution where that is longer. Preheating is not in it: it depends on how
    warm the device still is. What is left to a passport that is not there yet counts as the
    paper's.
    """
    protocol, choice = config.protocol, _passport(passport_path(config.setup)).get("choice", {})
    numbers = resolved(config.settings(), choice)["protocol"]
    window = 1.03 * protocol.min_duration_s + numbers["lead_in_s"] + 2.5 / numbers["sampling_hz"]
    calibration = protocol.min_duration_s / 2
    return Estimate(
        WARM_UP_S + calibration + protocol.min_repetitions * window,
        WARM_UP_S + calibration + protocol.max_repetitions * window,
    )


@dataclass(frozen=True)
class State:
    """How the traces on disk stand to the configuration.

    `stale` counts the reasons why traces have to be measured again; `seconds` are what finished
    modalities took, from their start to their file; `left` are the modalities to measure and
    `finished` the metadata of those that are done.
    """

    done: int
    missing: int
    stale: Mapping[str, int]
    seconds: tuple[float, ...]
    left: tuple[tuple[str, str, int, str], ...] = ()
    finished: tuple[TraceMeta, ...] = ()


def state(config: Config, images: Sequence[str], code_fingerprint: str) -> State:
    """Compare every trace of the campaign with the configuration."""
    settings = config.settings()
    networks = {name: fingerprint.of_network(config.networks[name]) for name, _ in config.points}
    missing = 0
    stale: Counter[str] = Counter()
    left: list[tuple[str, str, int, str]] = []
    finished: list[TraceMeta] = []
    for key in keys(config, images):
        path = trace_path(config.setup, *key)
        left.append(key)
        if not path.exists():
            missing += 1
            continue
        try:
            meta = read_meta(path)
        except StoreError:
            stale["the file cannot be read"] += 1
            continue
        reason = ", ".join(differences(settings, meta.settings))
        if not reason and meta.code_fingerprint != code_fingerprint:
            reason = "the measuring code changed"
        if not reason and not same_network(meta.run.get("network"), networks[key[1]]):
            reason = f"{key[1]} changed (its module, padding or factory)"
        if reason:
            stale[reason] += 1
        else:
            left.pop()
            finished.append(meta)
    seconds = tuple(_seconds(meta.windows, meta.intervals) for meta in finished)
    return State(len(finished), missing, dict(stale), seconds, tuple(left), tuple(finished))


def _seconds(windows: Sequence[Any], intervals: Sequence[Any]) -> float:
    marks = [*windows, *intervals]
    if not marks:
        return 0.0
    took: float = max(m.end_s for m in marks) - min(m.start_s for m in marks)
    return WARM_UP_S + took
