"""Preheating with the current network (paper, section 3)."""

import logging
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any, Literal

from nic_energy.protocol.bench import Bench
from nic_energy.protocol.repetitions import run_for
from nic_energy.traces import Interval

log = logging.getLogger(__name__)

Outcome = Literal["reached", "settled", "held", "timed_out", "no_thermometer", "off"]
SLOWDOWN_MARGIN_K = 3.0

STRETCH_S = 1.0
"""Load between two looks at the thermometer."""


@dataclass(frozen=True)
class PreheatRule:
    """When preheating ends; see the configuration keys of the same names."""

    target_c: float | None
    max_s: float
    settle_s: float
    settle_kelvin: float
    temperature_band_celsius: float = 3.0


@dataclass(frozen=True)
class Preheat:
    """How preheating ended; `target_c` is what was aimed at, never above the slowdown."""

    outcome: Outcome
    target_c: float | None
    start_c: float | None
    end_c: float | None
    duration_s: float

    def as_dict(self) -> dict[str, Any]:
        """For the trace's metadata."""
        return asdict(self)


def preheat(
    bench: Bench, rule: PreheatRule, execution_s: float, settled_c: float | None = None
) -> tuple[Preheat, Interval]:
    """Run the load until the target temperature is reached or the temperature has settled.

    Where it is known at which temperature this load settles, preheating is over as soon as the
    device is that warm (`held`): on a device that ran the same load just before, at once.

    Settled: the temperature rose by less than `settle_kelvin` over `settle_s` of load. The
    target is held `SLOWDOWN_MARGIN_K` below the device's slowdown threshold. A device without
    a thermometer is not preheated.

    Args:
        execution_s: time of one execution, to size the synchronised chunks of load.
        settled_c: temperature at which this load was seen to settle on this device.
    """
    begin = bench.clock.now()
    bench.drain()
    start_c = bench.temperature_c()
    target = _target(rule.target_c, bench.meter.slowdown_temperature_c)
    outcome: Outcome
    if target is None:
        outcome = "off"
    elif start_c is None:
        outcome = "no_thermometer"
    else:
        log.info("preheating: to %.0f degC", target)
        outcome = _heat(bench, rule, target, execution_s, begin, settled_c)
    end = bench.clock.now()
    result = Preheat(outcome, target, start_c, bench.temperature_c(), end - begin)
    log.info("preheating: %s at %s degC after %.0f s", outcome, result.end_c, result.duration_s)
    return result, Interval("preheat", begin, end)


def _target(target_c: float | None, slowdown_c: float | None) -> float | None:
    if target_c is None or slowdown_c is None:
        return target_c
    return min(target_c, slowdown_c - SLOWDOWN_MARGIN_K)


def _heat(
    bench: Bench,
    rule: PreheatRule,
    target: float,
    execution_s: float,
    begin: float,
    settled_c: float | None,
) -> Outcome:
    past: deque[tuple[float, float]] = deque()
    while True:
        now, temperature = bench.clock.now(), bench.temperature_c()
        if temperature is None:
            return "no_thermometer"
        if settled_c is not None:
            if abs(temperature - settled_c) <= rule.temperature_band_celsius:
                return "held"
        elif temperature >= target:
            return "reached"
        past.append((now, temperature))
        while now - past[0][0] > rule.settle_s and now - past[1][0] >= rule.settle_s:
            past.popleft()
        waited = now - past[0][0] >= rule.settle_s
        if waited and temperature - past[0][1] < rule.settle_kelvin:
            return "settled"
        if now - begin >= rule.max_s:
            return "timed_out"
        run_for(bench, STRETCH_S, execution_s, STRETCH_S)
        bench.drain()
        log.info("preheating: %.0f of %.0f degC", temperature, target)
