"""Time and energy of what is left of a campaign, stage by stage as the protocol goes."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from nic_energy.campaign import setup_folder
from nic_energy.config import Config
from nic_energy.config.settings import resolved
from nic_energy.forecast.knowledge import ZERO, Knowledge, Point, Range, passport_choice
from nic_energy.protocol.idle import REST_BLOCK_S, SETTLE_BLOCK_S
from nic_energy.protocol.repetitions import PHASE_S, WINDOW_MARGIN, executions_for
from nic_energy.statistics.coverage import apply, simulated_windows
from nic_energy.statistics.stopping import StoppingRule

Key = tuple[str, str, int, str]
"""Part, network, quality level and image."""

TRIALS = 2000
LOAD_S = Range(3.0, 7.0, 15.0)
"""Loading a network on the device, and starting the process where there is no worker."""

WARM_LOAD_S = Range(0.1, 0.3, 1.0)
"""From one modality to the next where a worker keeps the network."""

FIRST_PREHEAT_S = Range(30.0, 180.0, 600.0)
PASSPORT_S = Range(20.0, 60.0, 120.0)


@dataclass(frozen=True)
class Part:
    """Time under load and at rest in s, and the gross energy of both in J (estimated)."""

    load_s: Range = ZERO
    rest_s: Range = ZERO
    energy_j: Range = ZERO

    @property
    def duration_s(self) -> Range:
        """All of its time."""
        return self.load_s + self.rest_s

    def __add__(self, other: "Part") -> "Part":
        """One after the other."""
        return Part(
            self.load_s + other.load_s,
            self.rest_s + other.rest_s,
            self.energy_j + other.energy_j,
        )

    def times(self, count: float) -> "Part":
        """So many of them."""
        return Part(self.load_s * count, self.rest_s * count, self.energy_j * count)


@dataclass(frozen=True)
class NetworkForecast:
    """What is left of a network."""

    network: str
    modalities: int
    part: Part


@dataclass(frozen=True)
class Forecast:
    """What is left of a campaign.

    `once` holds idle reference, passport and first preheating, `anchors` so many repeats of the
    anchor, `repetitions` the expected mean number of admissible windows.
    """

    networks: tuple[NetworkForecast, ...]
    once: Part
    anchors: int
    anchor_part: Part
    repetitions: Range
    total: Part


def forecast(
    config: Config, left: Sequence[Key], knowledge: Knowledge, folder: Path | None = None
) -> Forecast:
    """Foretell what is left.

    Args:
        left: modalities to measure.
        folder: `results/{setup}`; None for that of the configuration.

    The bounds are those of the assumptions, taken all at their lower or all at their upper end:
    no statistical interval, but one that a campaign which goes as planned keeps.
    """
    folder = setup_folder(config.setup) if folder is None else folder
    stages = _Stages(config, knowledge, folder)
    points = Counter((network, quality) for _, network, quality, _ in left)
    by_network: dict[str, Part] = {}
    repeats = Part()
    counts: Counter[str] = Counter()
    for point, count in points.items():
        own = stages.modality(point).times(count)
        repeats += own
        visited = own + stages.visit(point)
        by_network[point[0]] = by_network.get(point[0], Part()) + visited
        counts[point[0]] += count
    networks = tuple(NetworkForecast(n, counts[n], part) for n, part in by_network.items())
    measured = sum((each.part for each in networks), Part())
    once = stages.once(bool(left))
    every = int(config.document["anchor"]["every"])
    # One more begins a session, which a campaign that goes on is taken to be in.
    anchors = len(left) // every + (not knowledge.observed) if every and left else 0
    anchor_part = repeats.times(anchors / len(left)) if anchors else Part()
    return Forecast(
        networks, once, anchors, anchor_part, stages.repetitions, measured + once + anchor_part
    )


class _Stages:
    """The stages of the protocol under a configuration."""

    def __init__(self, config: Config, knowledge: Knowledge, folder: Path) -> None:
        self._config, self._known, self._folder = config, knowledge, folder
        protocol = config.protocol
        numbers = resolved(config.settings(), passport_choice(config, folder) or {})["protocol"]
        self._lead_in_s, self._hz = float(numbers["lead_in_s"]), float(numbers["sampling_hz"])
        rule = StoppingRule(
            protocol.confidence,
            protocol.relative_width,
            "one_sided" if protocol.interval == "one_sided" else "two_sided",
            protocol.min_repetitions,
            protocol.max_repetitions,
        )
        scatter = knowledge.scatter
        self.repetitions = Range(
            *(expected_repetitions(rule, s) for s in (scatter.low, scatter.value, scatter.high))
        )
        self._worker = bool(config.document["worker"]["enabled"])

    def modality(self, point: Point) -> Part:
        """One modality on a device that is warm."""
        protocol, known = self._config.protocol, self._known
        windows = self.repetitions * known.left_out * self._window_s(point)
        calibration_s = 1.5 * min(1.0, protocol.min_duration_s / 4)
        phase_s = self.repetitions * (PHASE_S / 2)
        load = windows + Range(calibration_s, calibration_s, 2 * calibration_s) + self._preheat()
        rest = phase_s + self._rest(protocol.paired_idle_s)
        if not self._worker or protocol.idle_kind == "context":
            rest += self._rest(protocol.context_idle_s)
        rest += WARM_LOAD_S if self._worker else LOAD_S
        return self._part(load, rest, point)

    def visit(self, point: Point) -> Part:
        """What the first modality of a network and quality takes more, with a worker."""
        if not self._worker:
            return Part()
        protocol = self._config.protocol
        heat = ZERO
        if protocol.preheat_celsius is not None:
            first = self._known.first_preheat_s
            heat = first or Range(0.0, protocol.settle_s, 2 * protocol.settle_s)
        return self._part(heat, LOAD_S, point)

    def once(self, anything: bool) -> Part:
        """Idle reference, passport, and the first preheating."""
        if not anything:
            return Part()
        protocol, known = self._config.protocol, self._known
        rest, load = ZERO, ZERO
        if not (self._folder / "reference" / "idle.parquet").exists():
            settle = protocol.idle_settle_max_s
            wait = Range(2 * SETTLE_BLOCK_S, 2 * SETTLE_BLOCK_S, max(settle, 2 * SETTLE_BLOCK_S))
            rest = wait + Range(*3 * (protocol.idle_s + 2,))
        if self._config.passport and passport_choice(self._config, self._folder) is None:
            load += PASSPORT_S
        if protocol.preheat_celsius is not None and known.first_preheat_s is None:
            most = min(protocol.preheat_max_s, FIRST_PREHEAT_S.high)
            load += Range(*(min(most, s) for s in (FIRST_PREHEAT_S.low, 180.0, most)))
        energy = load * known.load_w + rest * known.idle_w
        return Part(load, rest, energy)

    def _window_s(self, point: Point) -> Range:
        """A window with its lead-in and the load after it."""
        least = WINDOW_MARGIN * self._config.protocol.min_duration_s
        execution_s = self._known.execution_s.get(point)
        around = self._lead_in_s + 2.5 / self._hz
        if execution_s is None:
            return Range(least + around, least + around, 1.3 * least + around)
        count = executions_for(self._config.protocol.min_duration_s, execution_s)
        took = count * execution_s + around + execution_s / 2
        return Range(took, took, took)

    def _preheat(self) -> Range:
        protocol = self._config.protocol
        if protocol.preheat_celsius is None:
            return ZERO
        if self._worker:
            # The device cools in the rests between; a third of the settling time is a guess.
            guess = Range(0.0, protocol.settle_s / 3, 1.5 * protocol.settle_s)
            return self._known.preheat_s or guess
        guess = Range(0.0, protocol.settle_s, 3 * protocol.settle_s)
        return self._known.first_preheat_s or guess

    def _rest(self, seconds: float) -> Range:
        if not seconds:
            return ZERO
        recorded = seconds + 2 / self._hz
        most = self._config.protocol.paired_settle_max_s
        wait = self._known.rest_s
        if wait is None:
            least = min(2 * REST_BLOCK_S, most)
            wait = Range(least, (least + most) / 2, most)
        return wait + Range(recorded, recorded, recorded)

    def _part(self, load: Range, rest: Range, point: Point) -> Part:
        energy = load * self._known.power_w(point) + rest * self._known.idle_w
        return Part(load, rest, energy)


@lru_cache
def expected_repetitions(rule: StoppingRule, scatter: float) -> float:
    """Mean number of windows until the stopping rule is met, for independent normal windows.

    Args:
        scatter: their relative standard deviation.
    """
    if not scatter or math.isnan(scatter):
        return float(rule.min_repetitions)
    random = np.random.default_rng(0)
    runs = simulated_windows(TRIALS, rule.max_repetitions, scatter, 0.0, random)
    return float(apply(rule, runs).repetitions.mean())
