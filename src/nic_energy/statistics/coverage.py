"""Coverage of a stopping rule by simulation: how often it is right about the mean it stops at.

The windows are simulated, with a true mean of 1, as Gaussian white noise or as a stationary AR(1)
process, for many runs at once. Every run is stopped exactly where `StoppingRule.decide` would
stop it. Two claims are checked, which are not the same thing:

- the interval: the true mean lies within the two-sided confidence interval that was achieved
  (`half_width`), whether or not the rule was met;
- the claim of the published rule in words: the true mean lies within half the relative width
  asked for (+-1 % for 0.02) of the mean that was found.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from nic_energy.statistics.stopping import StoppingRule
from nic_energy.traces import BoolArray, FloatArray

IntArray = npt.NDArray[np.int64]

TRUE_MEAN = 1.0

BLOCK = 20_000
"""Runs that are simulated at once, to bound the memory."""


@dataclass(frozen=True)
class Runs:
    """Where runs stopped and what they found, every array of shape (runs,).

    `half_width` is half the achieved two-sided interval, in the unit of `mean`.
    """

    mean: FloatArray
    half_width: FloatArray
    repetitions: IntArray
    converged: BoolArray


@dataclass(frozen=True)
class Coverage:
    """How often a stopping rule is right.

    Attributes:
        trials: simulated runs.
        interval: share whose achieved two-sided interval holds the true mean.
        interval_error: standard error of that share from the finite number of runs.
        claim: share whose mean is within half the relative width of the true mean.
        claim_error: standard error of that share.
        mean_repetitions: mean K.
        not_converged: share that hit the cap on K.
    """

    trials: int
    interval: float
    interval_error: float
    claim: float
    claim_error: float
    mean_repetitions: float
    not_converged: float


def simulated_windows(
    runs: int, length: int, variation: float, autocorrelation: float, rng: np.random.Generator
) -> FloatArray:
    """Energies of windows with true mean 1, shape (runs, length).

    Args:
        variation: coefficient of variation of a single window, whatever the correlation.
        autocorrelation: lag-1 correlation of the stationary AR(1) process; 0 is white noise.
    """
    noise = rng.standard_normal((runs, length))
    if autocorrelation:
        noise[:, 1:] *= math.sqrt(1 - autocorrelation**2)
        for place in range(1, length):
            noise[:, place] += autocorrelation * noise[:, place - 1]
    windows: FloatArray = TRUE_MEAN + variation * noise
    return windows


def running(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation (ddof = 1) of the first m values, for every m.

    Args:
        values: shape (runs, length).

    Returns:
        Two arrays of the same shape; the standard deviation of one value is NaN.
    """
    counts = np.arange(1, values.shape[1] + 1)
    # Relative to the first value, since the squares of the values themselves would cancel.
    offsets = values - values[:, :1]
    sums = np.cumsum(offsets, axis=1)
    squares = np.cumsum(offsets**2, axis=1) - sums**2 / counts
    squares[:, :1] = np.nan
    stds = np.sqrt(np.maximum(squares, 0) / np.maximum(counts - 1, 1))
    return values[:, :1] + sums / counts, stds


def holds(rule: StoppingRule, means: FloatArray, stds: FloatArray) -> BoolArray:
    """Whether the rule is met by the first m values, for every m; shape (runs, length)."""
    widths = stds * _unit_widths(rule, means.shape[1])
    met: BoolArray = widths < rule.relative_width * means
    met[:, : rule.min_repetitions - 1] = False
    return met


def stopped(rule: StoppingRule, means: FloatArray, stds: FloatArray, met: BoolArray) -> Runs:
    """The runs at the first m at which `met` is true, or else at the cap of the rule.

    Args:
        means: running means, shape (runs, length), `length` at least the cap of the rule.
        stds: running standard deviations, same shape.
        met: same shape; `holds`, or another rule under test.
    """
    most = rule.max_repetitions
    converged: BoolArray = np.any(met[:, :most], axis=1)
    last = np.where(converged, met[:, :most].argmax(axis=1), most - 1)
    rows = np.arange(len(last))
    half_units = _unit_widths(replace(rule, interval="two_sided"), most) / 2
    return Runs(
        mean=means[rows, last],
        half_width=stds[rows, last] * half_units[last],
        repetitions=last + 1,
        converged=converged,
    )


def apply(rule: StoppingRule, values: FloatArray) -> Runs:
    """Stop every run as `StoppingRule.decide` would.

    Args:
        values: window energies in time order, shape (runs, length), with as many windows as the
            rule may ask for.

    Raises:
        ValueError: fewer windows than the cap of the rule, or a cap below two.
    """
    if not 2 <= rule.max_repetitions <= values.shape[1]:
        raise ValueError(
            f"runs of {values.shape[1]} windows, a cap of {rule.max_repetitions}: the cap must be "
            "at least 2 and no more than the windows."
        )
    means, stds = running(values[:, : rule.max_repetitions])
    return stopped(rule, means, stds, holds(rule, means, stds))


def judged(runs: Runs, relative_width: float) -> Coverage:
    """Coverage of runs whose true mean is 1."""
    error = np.abs(runs.mean - TRUE_MEAN)
    interval = float(np.mean(error <= runs.half_width))
    claim = float(np.mean(error <= relative_width / 2 * runs.mean))
    trials = len(runs.mean)
    return Coverage(
        trials=trials,
        interval=interval,
        interval_error=math.sqrt(interval * (1 - interval) / trials),
        claim=claim,
        claim_error=math.sqrt(claim * (1 - claim) / trials),
        mean_repetitions=float(np.mean(runs.repetitions)),
        not_converged=float(np.mean(~runs.converged)),
    )


def inflated(runs: Runs, inflation: Callable[[int], float]) -> Runs:
    """The same runs with every half-width multiplied by `inflation` of its K."""
    counts, places = np.unique(runs.repetitions, return_inverse=True)
    factors = np.array([inflation(int(count)) for count in counts])
    return replace(runs, half_width=runs.half_width * factors[places])


def joined(parts: list[Runs]) -> Runs:
    """Several batches of runs as one."""
    return Runs(
        mean=np.concatenate([part.mean for part in parts]),
        half_width=np.concatenate([part.half_width for part in parts]),
        repetitions=np.concatenate([part.repetitions for part in parts]),
        converged=np.concatenate([part.converged for part in parts]),
    )


def coverage(
    rule: StoppingRule,
    variation: float,
    autocorrelation: float = 0.0,
    trials: int = 40_000,
    seed: int = 2018,
    inflation: Callable[[int], float] | None = None,
) -> Coverage:
    """Simulate a stopping rule and count how often it is right.

    Args:
        rule: the rule under test.
        variation: coefficient of variation of a single window.
        autocorrelation: lag-1 correlation of successive windows.
        trials: simulated runs.
        seed: of the noise; equal seeds see equal noise under any rule and variation.
        inflation: factor on the achieved half-width as a function of K. The rule stops without.
    """
    rng = np.random.default_rng(seed)
    parts = []
    for first in range(0, trials, BLOCK):
        count = min(BLOCK, trials - first)
        values = simulated_windows(count, rule.max_repetitions, variation, autocorrelation, rng)
        parts.append(apply(rule, values))
    runs = joined(parts)
    return judged(runs if inflation is None else inflated(runs, inflation), rule.relative_width)


@lru_cache(maxsize=64)
def _unit_widths(rule: StoppingRule, length: int) -> FloatArray:
    """Full width of the interval of the rule at s = 1 for m = 1 to `length`, endless at m = 1."""
    widths = np.array([math.inf, *(rule.width(1.0, count) for count in range(2, length + 1))])
    widths.flags.writeable = False
    return widths
