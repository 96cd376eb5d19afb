"""How far the joint model may be off for a network that was never measured.

Six networks are few: the largest of six left-out errors is exceeded by a seventh network once in
seven times, so that no interval of 95 % follows from them without a distribution. The logarithms
of the left-out errors are taken as Gaussian about 0, and their root mean square as known with one
degree of freedom less than there are networks (Student's t).

Every network is left out with the choice of the terms made anew, and compared at the size that is
asked for: its own line against the model without it. The interval is never narrower than the
largest of these errors; it widens with the distance of what is asked for from what was trained on,
and holds the scatter of single images about their network's line.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from nic_energy.models.joint.choice import LeftOut, nested
from nic_energy.models.joint.fit import Fitted, Points, distances, information
from nic_energy.models.linear import fit_line
from nic_energy.models.ratios import exponential

COVERAGE = 0.95


@dataclass(frozen=True)
class LeftOutLine:
    """One network and level: its own line, and the line that the model without it predicts.

    Slopes in J/pixel and offsets in J; `candidate` names the terms of the model without it;
    `distance` is how far the others are from it.
    """

    network: str
    level: str
    candidate: str
    alpha: float
    beta: float
    predicted_alpha: float
    predicted_beta: float
    distance: float

    def log_ratio(self, pixels: float) -> float:
        """ln(own / predicted) at these pixels."""
        own, predicted = (
            self.alpha * pixels + self.beta,
            self.predicted_alpha * pixels + self.predicted_beta,
        )
        return math.log(own / predicted)


@dataclass(frozen=True)
class Errors:
    """What the left-out networks say of the model's errors.

    Attributes:
        lines: a network and level each.
        scatter: root mean square of the relative residuals of single energies about the line of
            their own network.
        pixels: least and most that were trained on; outside, the lines are compared at the border.
    """

    lines: tuple[LeftOutLine, ...]
    scatter: float
    pixels: tuple[float, float]

    @property
    def networks(self) -> int:
        """How many were left out."""
        return len({line.network for line in self.lines})

    @property
    def distance(self) -> float:
        """Mean distance of what was left out from the others."""
        return float(np.mean([line.distance for line in self.lines]))

    def log_ratios(self, pixels: float) -> dict[str, list[float]]:
        """ln(own / predicted) of the levels of each network."""
        at = min(max(pixels, self.pixels[0]), self.pixels[1])
        found: dict[str, list[float]] = {}
        for line in self.lines:
            found.setdefault(line.network, []).append(line.log_ratio(at))
        return found

    def remoteness(self, distance: float) -> float:
        """Errors expected at this distance, over those of the left-out networks.

        A left-out network errs by itself (1) and by what the others do not tell (its distance).
        """
        return math.sqrt((1 + distance) / (1 + self.distance))

    def half_width(self, pixels: float, distance: float, coverage: float = COVERAGE) -> float:
        """Half the interval of ln(energy) of one image."""
        ratios = self.log_ratios(pixels)
        squares = [float(np.mean(np.square(levels))) for levels in ratios.values()]
        largest = max(abs(ratio) for levels in ratios.values() for ratio in levels)
        quantile = float(stats.t.ppf((1 + coverage) / 2, len(squares) - 1))
        between = max(quantile * math.sqrt(float(np.mean(squares))), largest)
        between *= max(1.0, self.remoteness(distance))
        return math.hypot(between, float(stats.norm.ppf((1 + coverage) / 2)) * self.scatter)


def errors_of(points: Points, left_out: Sequence[LeftOut]) -> Errors | None:
    """What the left-out networks say; None where fewer than two have a line of their own."""
    lines, squares = [], []
    reach = float(points.pixels.min()), float(points.pixels.max())
    for each in left_out:
        own = points.where(points.network == each.network)
        for level in sorted(set(own.level)):
            rows = own.where(own.level == level)
            line = fit_line(rows.pixels, rows.energy_j)
            if line is None or min(line.predict(np.array(reach))) <= 0:
                continue
            squares.append(float(np.mean((rows.energy_j / line.predict(rows.pixels) - 1) ** 2)))
            lines.append(
                LeftOutLine(
                    each.network, level, each.candidate, line.slope, line.intercept,
                    *line_of_model(each.model, rows), _distance(points, rows, each),
                )
            )  # fmt: skip
    if len({line.network for line in lines}) < 2:
        return None
    scatter = math.sqrt(float(np.mean(squares)))
    return Errors(tuple(lines), scatter, reach)


def ends(energy_j: float, half_width: float) -> tuple[float, float] | tuple[None, None]:
    """The interval of an energy, from half that of its logarithm; no ends where that has none."""
    high = energy_j * exponential(half_width)
    return (energy_j * math.exp(-half_width), high) if math.isfinite(high) else (None, None)


def judged_intervals(
    points: Points, candidates: Sequence[str], left_out: Sequence[LeftOut], lines: Errors
) -> list[dict[str, float | bool | None]]:
    """Per line of `lines`, what the other networks would have said of it, as for a new network.

    Their errors are those of leaving each of them out of the rest, once more. It is asked at the
    largest image: `pixels`, `measured_j` (of the own line), `predicted_j`, `low_j`, `high_j` and
    whether the interval holds the own line (`inside`). The ends are None where the others
    tell nothing, so that any energy lies inside.
    """
    pixels = lines.pixels[1]
    found = []
    for each in left_out:
        rest = points.where(points.network != each.network)
        errors = errors_of(rest, nested(rest, candidates))
        for line in (line for line in lines.lines if line.network == each.network):
            measured = line.alpha * pixels + line.beta
            predicted = line.predicted_alpha * pixels + line.predicted_beta
            half = math.inf if errors is None else errors.half_width(pixels, line.distance)
            low, high = ends(predicted, half)
            found.append(
                {
                    "pixels": pixels,
                    "measured_j": measured,
                    "predicted_j": predicted,
                    "low_j": low,
                    "high_j": high,
                    "inside": low is None or high is None or low <= measured <= high,
                }
            )
    return found


def line_of_model(model: Fitted, rows: Points) -> tuple[float, float]:
    """(slope in J/pixel, offset in J) that a model gives to a network: it is linear in pixels."""
    at_none, at_one = (float(np.mean(model.predict(rows.at(pixels)))) for pixels in (0.0, 1.0))
    return at_one - at_none, at_none


def _distance(points: Points, rows: Points, left_out: LeftOut) -> float:
    model = left_out.model
    rest = points.where(points.network != left_out.network)
    return float(np.mean(distances(rows, information(rest, model), model)))
