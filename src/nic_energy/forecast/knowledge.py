"""What a forecast goes by: assumptions, or what was already measured of the set-up."""

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from nic_energy.campaign import passport_path, setup_folder
from nic_energy.config import Config
from nic_energy.errors import StoreError
from nic_energy.traces import TraceMeta, read_meta

Point = tuple[str, int]
"""Network and quality level."""

LEAST_OBSERVED = 3
"""Fewer modalities of a network than this say less than those of all networks."""


@dataclass(frozen=True)
class Range:
    """A value with a lower and an upper bound."""

    low: float
    value: float
    high: float

    def __add__(self, other: "Range") -> "Range":
        """Bounds add, since they come from the same assumptions."""
        return Range(self.low + other.low, self.value + other.value, self.high + other.high)

    def __mul__(self, other: "Range | float") -> "Range":
        """Of quantities that are not negative."""
        if isinstance(other, Range):
            return Range(self.low * other.low, self.value * other.value, self.high * other.high)
        return Range(self.low * other, self.value * other, self.high * other)


ZERO = Range(0.0, 0.0, 0.0)
SCATTER = Range(0.005, 0.01, 0.02)
"""Relative standard deviation of the windows of a modality on a GPU that holds still."""

LOAD_SHARE = Range(0.25, 0.6, 1.0)
"""Power under load as a share of the power limit."""

LOAD_W = Range(75.0, 150.0, 350.0)
IDLE_W = Range(8.0, 25.0, 70.0)
"""Of a GPU whose limit and idle reference are not known yet."""

OBSERVED_SCATTER = 1.25
"""A scatter that was observed is taken to stay within this factor."""

LEFT_OUT = Range(1.0, 1.05, 1.3)
"""Windows that have to be measured for each that is admissible."""


@dataclass(frozen=True)
class Knowledge:
    """What a forecast goes by.

    `scatter` is the relative standard deviation of a modality's windows; `left_out` windows
    measured an admissible one; `load_w` and `idle_w` gross power, `point_w` under load by point;
    `execution_s` mean time of an execution by point; `preheat_s` of a modality whose load a worker
    knows, `first_preheat_s` of one whose load it does not know, `rest_s` the wait before a recorded
    rest, all None where too few were observed. `origins` say
    in words where each comes from. `observed` modalities are measured.
    """

    scatter: Range
    left_out: Range
    load_w: Range
    idle_w: Range
    point_w: Mapping[Point, float]
    execution_s: Mapping[Point, float]
    preheat_s: Range | None
    first_preheat_s: Range | None
    rest_s: Range | None
    origins: tuple[str, ...]
    observed: int = 0

    def power_w(self, point: Point) -> Range:
        """Gross power under the load of a point."""
        if point not in self.point_w:
            return self.load_w
        value = self.point_w[point]
        return Range(0.95 * value, value, 1.05 * value)


def known(config: Config, done: Sequence[TraceMeta], folder: Path | None = None) -> Knowledge:
    """What there is to go by.

    Args:
        done: metadata of the accepted traces of the campaign.
        folder: `results/{setup}`; None for that of the configuration.
    """
    folder = setup_folder(config.setup) if folder is None else folder
    idle_w, idle_said = _idle_w(config, folder, done)
    load_w, load_said = _load_w(config, folder)
    origins = [
        f"scatter of windows {100 * SCATTER.value:g} % (assumed; {100 * SCATTER.low:g} to "
        f"{100 * SCATTER.high:g} %)",
        idle_said,
        load_said,
        "preheating, rests and loading by the protocol's keys (assumed)",
    ]
    assumed = Knowledge(
        SCATTER, LEFT_OUT, load_w, idle_w, {}, {}, None, None, None, tuple(origins), len(done)
    )
    return _observed(assumed, done, idle_said) if done else assumed


def _observed(assumed: Knowledge, done: Sequence[TraceMeta], idle_said: str) -> Knowledge:
    executions: dict[Point, list[float]] = defaultdict(list)
    powers: dict[Point, list[float]] = defaultdict(list)
    shares, windows, admissible = [], 0, 0
    for meta in done:
        stopping, modality = meta.stopping, meta.modality
        if modality is None or not meta.windows or not stopping.get("mean"):
            continue
        point = (modality.network, modality.quality)
        execution_s = sum(w.duration_s for w in meta.windows) / sum(
            w.executions for w in meta.windows
        )
        executions[point].append(execution_s)
        idle_w = meta.idle_power_w.get(str(stopping.get("power_field")), assumed.idle_w.value)
        powers[point].append(stopping["mean"] / execution_s + idle_w)
        windows += len(meta.windows)
        admissible += sum(w.admissible for w in meta.windows)
        if stopping.get("std"):
            shares.append((stopping["std"] / stopping["mean"]) ** 2)
    if not shares or not admissible:
        return assumed
    scatter, left_out = math.sqrt(fmean(shares)), windows / admissible
    every = [power for each in powers.values() for power in each]
    load_w = Range(min(every), fmean(every), max(every))
    count = f"{len(shares)} measured modalities"
    return Knowledge(
        Range(scatter / OBSERVED_SCATTER, scatter, scatter * OBSERVED_SCATTER),
        Range(1.0, left_out, max(left_out, 2 * left_out - 1)),
        load_w,
        assumed.idle_w,
        {point: fmean(each) for point, each in powers.items()},
        {point: fmean(each) for point, each in executions.items()},
        _spread([_marked(meta, "preheat") for meta in done if _held(meta)]),
        _spread([_marked(meta, "preheat") for meta in done if not _held(meta)]),
        _spread([t for meta in done for t in _waits(meta)]),
        (
            f"scatter of windows {100 * scatter:.2g} % ({count})",
            idle_said,
            f"power under load {load_w.value:.0f} W ({count})",
            f"preheating and rests as they were ({count})",
        ),
        len(done),
    )


def _spread(seconds: Sequence[float]) -> Range | None:
    """Mean with bounds that a mean of as many would keep, roughly; None of too few."""
    if len(seconds) < LEAST_OBSERVED:
        return None
    mean = fmean(seconds)
    deviation = math.sqrt(fmean([(each - mean) ** 2 for each in seconds]))
    error = 2 * deviation / math.sqrt(len(seconds))
    return Range(max(0.0, mean - error), mean, mean + error)


def _marked(meta: TraceMeta, phase: str) -> float:
    return sum(i.end_s - i.start_s for i in meta.intervals if i.phase == phase)


def _held(meta: TraceMeta) -> bool:
    return meta.preheat.get("outcome") == "held"


def _waits(meta: TraceMeta) -> list[float]:
    return [i.end_s - i.start_s for i in meta.intervals if i.phase == "settle"]


def _idle_w(config: Config, folder: Path, done: Sequence[TraceMeta]) -> tuple[Range, str]:
    powers: Mapping[str, float] = done[0].idle_power_w if done else {}
    path = folder / "reference" / "idle.parquet"
    if path.exists():
        try:
            powers = read_meta(path).idle_power_w
        except StoreError:
            powers = {}
    columns = {name: w for name, w in powers.items() if name != "energy_counter_j"}
    if columns:
        value = next(iter(columns.values()))
        return Range(
            0.95 * value, value, 1.15 * value
        ), f"idle power {value:.1f} W (idle reference)"
    if config.document["meter"] == "cpu_load":
        value = float(config.document["cpu_load"]["idle_w"])
        return Range(value, value, 1.5 * value), f"idle power {value:g} W (cpu_load.idle_w)"
    return IDLE_W, f"idle power {IDLE_W.value:g} W (assumed)"


def _load_w(config: Config, folder: Path) -> tuple[Range, str]:
    if config.document["meter"] == "cpu_load":
        low, high = (float(config.document["cpu_load"][key]) for key in ("idle_w", "full_w"))
        return Range(low, high, high), f"power under load {high:g} W (cpu_load.full_w)"
    limit = _power_limit(folder / "reference" / "environment.json")
    if limit:
        return (
            LOAD_SHARE * limit,
            f"power under load {LOAD_SHARE.value:.0%} of the limit of {limit:g} W (assumed)",
        )
    return LOAD_W, f"power under load {LOAD_W.value:g} W (assumed)"


def _power_limit(path: Path) -> float | None:
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
        return float(document["device"]["details"]["enforced_power_limit_w"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def passport_choice(config: Config, folder: Path | None = None) -> Mapping[str, Any] | None:
    """What the passport of the set-up chose; None while there is none."""
    path = passport_path(config.setup)
    if folder is not None:
        path = folder / "reference" / path.name
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        choice: Mapping[str, Any] = document["choice"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return choice
