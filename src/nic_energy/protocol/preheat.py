"""Preheating with the current network (paper, section 3)."""

import logging
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any, Literal

from nic_energy.protocol.bench import Bench
from nic_energy.protocol.repetitions import run_for
from nic_energy.traces import Interval, MeterInfo

log = logging.getLogger(__name__)

Outcome = Literal["reached", "settled", "held", "timed_out", "no_thermometer", "off"]
Limit = Literal["preheat_celsius", "slowdown_threshold", "margin_temperature"]
"""The configuration, the slowdown threshold of the device, or its margin to the slowdown where it
tells no threshold.
"""

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
    """How preheating ended. `target_c` is what was aimed at, never above the slowdown, and
    `limited_by` what set it.
    """

    outcome: Outcome
    target_c: float | None
    limited_by: Limit | None
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
    target is held `SLOWDOWN_MARGIN_K` below the temperature at which the device slows down, by its
    threshold or by its margin temperature; a device that tells neither is heated to the target
    of the configuration. A device without a thermometer is not preheated.

    Args:
        execution_s: time of one execution, to size the synchronised chunks of load.
        settled_c: temperature at which this load was seen to settle on this device.
    """
    begin = bench.clock.now()
    bench.drain()
    start_c = bench.temperature_c()
    target, limit = _target(rule.target_c, bench.meter)
    outcome: Outcome
    if target is None:
        outcome = "off"
    elif start_c is None:
        outcome = "no_thermometer"
    else:
        log.info("preheating: to %.0f degC, limited by %s", target, _reason(limit, bench.meter))
        outcome = _heat(bench, rule, target, execution_s, begin, settled_c)
    end = bench.clock.now()
    result = Preheat(outcome, target, limit, start_c, bench.temperature_c(), end - begin)
    log.info("preheating: %s at %s degC after %.0f s", outcome, result.end_c, result.duration_s)
    return result, Interval("preheat", begin, end)


def _target(target_c: float | None, meter: MeterInfo) -> tuple[float | None, Limit | None]:
    if target_c is None:
        return None, None
    slowdown_c = meter.slowdown_temperature_c
    if slowdown_c is None or target_c <= slowdown_c - SLOWDOWN_MARGIN_K:
        return target_c, "preheat_celsius"
    by_margin = meter.details.get("slowdown_from") == "margin"
    limit: Limit = "margin_temperature" if by_margin else "slowdown_threshold"
    return slowdown_c - SLOWDOWN_MARGIN_K, limit


def _reason(limit: Limit | None, meter: MeterInfo) -> str:
    unknown = meter.slowdown_temperature_c is None
    return f"{limit}{' alone: the device tells no slowdown temperature' if unknown else ''}"


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
