"""The idle reference: power of the device at rest (paper, section 3)."""

import logging
import math
from dataclasses import dataclass
from statistics import fmean

from nic_energy.protocol.bench import Clock, SampleSource
from nic_energy.traces import Interval, Sample

log = logging.getLogger(__name__)

SETTLE_BLOCK_S = 5.0
SETTLED_SHARE = 0.01


@dataclass(frozen=True)
class IdleRecord:
    """Samples of the idle reference; `intervals` mark the wait (`settle`) and the `idle`."""

    samples: tuple[Sample, ...]
    intervals: tuple[Interval, ...]
    settled: bool


def record_idle(
    clock: Clock,
    source: SampleSource,
    power_column: str,
    idle_s: float,
    settle_max_s: float,
    sampling_hz: float,
) -> IdleRecord:
    """Wait until the device has come to rest, then record it for `idle_s`.

    The wait ends when the mean power over two blocks of 5 s in a row differs by less than 1 %
    (a card stays in a high performance state for seconds after its last context is gone), and
    in any case after `settle_max_s`.

    Args:
        power_column: the column whose settling is watched.
    """
    begin = clock.now()
    samples: list[Sample] = []
    settled = _wait_until_settled(clock, source, power_column, settle_max_s, samples)
    start = clock.now()
    progress_every = max(1.0, idle_s / 10)
    while (left := start + idle_s - clock.now()) > 0:
        clock.sleep(min(progress_every, left))
        log.info("idle reference: %.0f s left", max(0.0, start + idle_s - clock.now()))
    end = clock.now()
    clock.sleep(2 / sampling_hz)
    samples.extend(source.collect())
    intervals = (Interval("settle", begin, start), Interval("idle", start, end))
    return IdleRecord(tuple(samples), intervals, settled)


def _wait_until_settled(
    clock: Clock, source: SampleSource, power_column: str, limit_s: float, samples: list[Sample]
) -> bool:
    begin, before = clock.now(), math.nan
    while clock.now() - begin < limit_s:
        clock.sleep(min(SETTLE_BLOCK_S, limit_s))
        block = source.collect()
        samples.extend(block)
        power = [float(v) for s in block if (v := s.get(power_column)) is not None]
        now = fmean(power) if power else math.nan
        if abs(now - before) <= SETTLED_SHARE * before:
            return True
        before = now
        log.info("waiting for the device to come to rest: %.1f W", now)
    return False
