"""What the sampler's benchmark measured, and what follows from it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

OURS = "Sampler"
ORDINARY = "Sampler, ordinary priority"
ZEUS = "Zeus PowerMonitor"


@dataclass(frozen=True)
class Trial:
    """One stretch of the network beside a sampler, and the bare stretches around it.

    Times per execution in s; `time_s` are the samples' own time stamps within the stretch, in s
    on the clock that the sampler uses; `power_w` are their readings. `own_missed` are the missed
    deadlines that the sampler itself counted from its start to its end; None if it counts none.
    `cpu_s` is what the sampler's processes had of a processor in `watched_s` s beside it.
    """

    before_s: float
    beside_s: float
    after_s: float
    time_s: tuple[float, ...]
    power_w: tuple[float, ...]
    own_missed: int | None
    cpu_s: float
    watched_s: float


@dataclass(frozen=True)
class Series:
    """All trials of one sampler at one rate."""

    sampler: str
    sampling_hz: float
    trials: tuple[Trial, ...]


@dataclass(frozen=True)
class Run:
    """One run of the benchmark. `zeus` is its version, or None with `zeus_error` saying why;
    `load` is the mean number of busy processes in the minute before.
    """

    cores: int
    threads: int
    torch: str
    realtime: bool
    load: float
    zeus: str | None
    zeus_error: str
    series: tuple[Series, ...]


# Statistics


@dataclass(frozen=True)
class PeriodError:
    """How far the distances between successive samples are from the nominal period.

    `reached_hz` is the mean rate; the percentiles and the maximum are of the error's size in s.
    `missed` are the samples that the nominal rate has and the sampler has not.
    """

    periods: int
    reached_hz: float
    p50_s: float
    p99_s: float
    max_s: float
    missed: int


def percentile(values: Iterable[float], share: float) -> float:
    """Nearest-rank percentile, as the sampler's own report takes it; `share` in (0, 1]."""
    ordered = sorted(values)
    return ordered[math.ceil(share * len(ordered)) - 1]


def missed_samples(time_s: Sequence[float], period_s: float) -> int:
    """Samples that fit between the first and the last, beyond those that are there."""
    return max(0, round((time_s[-1] - time_s[0]) / period_s) - (len(time_s) - 1))


def period_error(stretches: Sequence[Sequence[float]], period_s: float) -> PeriodError:
    """Error of the sampling period over stretches of time stamps; gaps between them are left out.

    Raises:
        ValueError: a stretch has fewer than two samples.
    """
    if any(len(times) < 2 for times in stretches):
        raise ValueError("a stretch has fewer than two samples, hence no period")
    gaps = [later - sooner for times in stretches for sooner, later in pairwise(times)]
    sizes = [abs(gap - period_s) for gap in gaps]
    return PeriodError(
        periods=len(gaps),
        reached_hz=len(gaps) / math.fsum(gaps),
        p50_s=percentile(sizes, 0.5),
        p99_s=percentile(sizes, 0.99),
        max_s=max(sizes),
        missed=sum(missed_samples(times, period_s) for times in stretches),
    )


def slowdowns(series: Series) -> list[float]:
    """Time per execution beside the sampler over the mean of the bare stretches around it."""
    return [trial.beside_s / ((trial.before_s + trial.after_s) / 2) for trial in series.trials]


def bare_ratios(series: Sequence[Series]) -> list[float]:
    """Bare stretch after a trial over the one before: what is noise, no sampler being there."""
    return [trial.after_s / trial.before_s for each in series for trial in each.trials]


def cpu_share(series: Series) -> float:
    """Share of one processor that the sampler's processes took while the network ran."""
    return sum(t.cpu_s for t in series.trials) / sum(t.watched_s for t in series.trials)


def repeated_readings(series: Sequence[Series]) -> int:
    """Readings equal to the one before."""
    return sum(
        sooner == later
        for each in series
        for trial in each.trials
        for sooner, later in pairwise(trial.power_w)
    )
