"""Idle power of the device: the reference before anything runs (paper, section 3), and the rests
with a network resident, before and after its windows.
"""

import logging
import math
from dataclasses import dataclass

import numpy as np

from nic_energy.energy.admissibility import columns_of, rest_flags
from nic_energy.protocol.bench import Bench, Clock, SampleSource
from nic_energy.traces import Interval, PowerField, Sample

log = logging.getLogger(__name__)

SETTLE_BLOCK_S = 5.0
REST_BLOCK_S = 2.0
SETTLED_SHARE = 0.01
SETTLED_SIGMAS = 3.0
REST_TRIES = 3


@dataclass(frozen=True)
class IdleRecord:
    """Samples of the idle reference; `intervals` mark the wait (`settle`) and the `idle`."""

    samples: tuple[Sample, ...]
    intervals: tuple[Interval, ...]
    settled: bool


@dataclass(frozen=True)
class Rest:
    """A recorded rest: the interval waited (`settle`), the interval recorded, and whether the
    power had settled by then. `flags` say why its readings cannot be right.
    """

    intervals: tuple[Interval, ...]
    settled: bool
    flags: tuple[str, ...] = ()


def record_idle(
    clock: Clock,
    source: SampleSource,
    power_column: str,
    idle_s: float,
    settle_max_s: float,
    sampling_hz: float,
    samples: list[Sample] | None = None,
) -> IdleRecord:
    """Wait until the device has come to rest, then record it for `idle_s`.

    The wait ends by the rule of `settled` on two blocks of 5 s in a row (a card stays in a high
    performance state for seconds after its last context is gone), at the latest after
    `settle_max_s`.

    Args:
        power_column: the column whose settling is watched.
        samples: where the samples go too, so that an error loses none.
    """
    begin = clock.now()
    samples = [] if samples is None else samples
    calm = _wait(clock, source, power_column, settle_max_s, SETTLE_BLOCK_S, samples)
    start = clock.now()
    progress_every = max(1.0, idle_s / 10)
    while (left := start + idle_s - clock.now()) > 0:
        clock.sleep(min(progress_every, left))
        samples.extend(source.collect())
        log.info("idle reference: %.0f s left", max(0.0, start + idle_s - clock.now()))
    end = clock.now()
    clock.sleep(2 / sampling_hz)
    samples.extend(source.collect())
    intervals = (Interval("settle", begin, start), Interval("idle", start, end))
    return IdleRecord(tuple(samples), intervals, calm)


def record_rest(
    bench: Bench, phase: str, field: PowerField, rest_s: float, settle_max_s: float
) -> Rest:
    """Let the device come to rest with its network resident, then record it for `rest_s`.

    A rest whose readings cannot be right is kept as `idle_rejected` and recorded again, up to
    `REST_TRIES` times in all.

    Args:
        phase: name of the recorded interval, `idle_context` or `idle_paired`.
        field: the power field whose settling is watched.
    """
    intervals: tuple[Interval, ...] = ()
    for _ in range(REST_TRIES):
        rest = _record_rest(bench, phase, field, rest_s, settle_max_s)
        if not rest.flags:
            return Rest((*intervals, *rest.intervals), rest.settled)
        log.warning("%s left out: %s", phase, ", ".join(rest.flags))
        settle, recorded = rest.intervals
        rejected = Interval("idle_rejected", recorded.start_s, recorded.end_s)
        intervals = (*intervals, settle, rejected)
    return Rest(intervals, rest.settled, rest.flags)


def _record_rest(
    bench: Bench, phase: str, field: PowerField, rest_s: float, settle_max_s: float
) -> Rest:
    log.info("%s: waiting for the device to come to rest", phase)
    begin, before = bench.clock.now(), len(bench.history)
    calm = _wait(bench.clock, bench.source, field.column, settle_max_s, REST_BLOCK_S, bench.history)
    start = bench.clock.now()
    bench.clock.sleep(rest_s)
    end = bench.clock.now()
    bench.clock.sleep(2 / bench.sampling_hz)
    bench.drain()
    log.info("%s: recorded for %.1f s after %.1f s of rest", phase, rest_s, start - begin)
    flags = rest_flags(
        columns_of(bench.history[before:]),
        start,
        end,
        field,
        bench.sampling_hz,
        bench.meter.details.get("enforced_power_limit_w"),
    )
    return Rest((Interval("settle", begin, start), Interval(phase, start, end)), calm, flags)


def settled(before_w: list[float], after_w: list[float]) -> bool:
    """Whether the mean power of two blocks in a row is the same: within 1 %, or within three
    standard errors of the difference where readings scatter more than that.
    """
    if len(before_w) < 2 or len(after_w) < 2:
        return False
    first, second = float(np.mean(before_w)), float(np.mean(after_w))
    error = math.hypot(*(_scatter(w) / math.sqrt(len(w)) for w in (before_w, after_w)))
    return abs(second - first) <= max(SETTLED_SHARE * abs(first), SETTLED_SIGMAS * error)


def _scatter(power_w: list[float]) -> float:
    """Standard deviation from successive differences, to which a steady decay adds nothing (von
    Neumann, "Distribution of the ratio of the mean square successive difference to the
    variance", Annals of Mathematical Statistics 12, 1941).
    """
    return float(np.sqrt(np.mean(np.diff(power_w) ** 2) / 2))


def _wait(
    clock: Clock,
    source: SampleSource,
    power_column: str,
    limit_s: float,
    block_s: float,
    samples: list[Sample],
) -> bool:
    begin = clock.now()
    before: list[float] = []
    samples.extend(source.collect())
    while clock.now() - begin < limit_s:
        clock.sleep(min(block_s, limit_s))
        block = source.collect()
        samples.extend(block)
        power = [float(v) for s in block if (v := s.get(power_column)) is not None]
        if settled(before, power):
            return True
        before = power
        log.debug("waiting for the device to come to rest: %s", power[-1:] or "no reading")
    return False
