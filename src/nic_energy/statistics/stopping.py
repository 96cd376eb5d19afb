"""The stopping rule: how many windows K a modality needs.

Herglotz, Springer, Reichenbach, Stabernack, Kaup, "Modeling the Energy Consumption of the HEVC
Decoding Process", IEEE TCSVT 28(1), 2018 (the paper's reference [15]):

    2 * s / sqrt(m) * t(m - 1) < beta * mean

with m windows, their sample standard deviation s, and Student's t at confidence alpha.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Decision:
    """What the stopping rule says after `repetitions` windows.

    `half_width_percent` is half the two-sided confidence interval in percent of the mean, None
    while it cannot be said. `predicted_repetitions` is the K at which the rule would be met if
    the scatter stayed as it is, None when not before the cap.
    """

    stop: bool
    converged: bool
    repetitions: int
    mean: float
    std: float | None
    half_width_percent: float | None
    predicted_repetitions: int | None


@dataclass(frozen=True)
class StoppingRule:
    """The confidence interval test with a least and a most number of windows.

    Args:
        confidence: alpha, between 0.5 and 1.
        relative_width: beta, the full width of the interval as a share of the mean.
        interval: `one_sided` takes t at alpha, as published; `two_sided` at (1 + alpha) / 2.
        min_repetitions: fewest windows, at least 2.
        max_repetitions: most windows; a modality that has not converged by then says so.
    """

    confidence: float
    relative_width: float
    interval: Literal["one_sided", "two_sided"]
    min_repetitions: int
    max_repetitions: int

    def decide(self, values: Sequence[float]) -> Decision:
        """Apply the rule to the energies of the windows so far (at least one)."""
        count, mean = len(values), float(np.mean(values))
        std = float(np.std(values, ddof=1)) if count > 1 else None
        converged = (
            std is not None
            and count >= self.min_repetitions
            and mean > 0
            and self.width(std, count) < self.relative_width * mean
        )
        half = half_width(values, self.confidence)
        return Decision(
            stop=converged or count >= self.max_repetitions,
            converged=converged,
            repetitions=count,
            mean=mean,
            std=std,
            half_width_percent=None if half is None or mean <= 0 else 100 * half / mean,
            predicted_repetitions=self._predict(mean, std, count),
        )

    def width(self, std: float, count: int) -> float:
        """Full width of the interval of the rule, in the unit of `std`."""
        level = self.confidence if self.interval == "one_sided" else (1 + self.confidence) / 2
        return 2 * std / math.sqrt(count) * _critical_value(level, count - 1)

    def _predict(self, mean: float, std: float | None, count: int) -> int | None:
        if std is None or mean <= 0:
            return None
        for repetitions in range(max(count, self.min_repetitions), self.max_repetitions + 1):
            if self.width(std, repetitions) < self.relative_width * mean:
                return repetitions
        return None


def half_width(values: Sequence[float], confidence: float) -> float | None:
    """Half the two-sided confidence interval of the mean; None for fewer than two values."""
    count = len(values)
    if count < 2:
        return None
    std = float(np.std(values, ddof=1))
    return std / math.sqrt(count) * _critical_value((1 + confidence) / 2, count - 1)


@lru_cache(maxsize=4096)
def _critical_value(level: float, degrees: int) -> float:
    # Every prediction of K asks for the same few dozen values again.
    return float(stats.t.ppf(level, degrees))
