"""How well alpha and beta of Eq. (2) are known: a budget in the sense of the GUM (JCGM 100).

Three inputs move the line of one part, network and level:

- `images`: other images would have given another line. The qualities of one image share what the
  image does to the energy, and the scatter grows with the energy, so the textbook formula for
  independent residuals of equal variance does not hold. The line is fitted again without each
  image in turn, all its qualities at once (a jackknife over clusters).
- `idle`: one idle reference is subtracted from all rows, so that its error moves them together.
- `gain`: so does a wrong gain of the power meter, in proportion to the energy.
- `trend`: so does a trend over the windows of a run that all modalities share, in proportion too.

Repeatability, edges, temperature and disagreement are independent from row to row: they are in the
scatter about the line already, and are counted on their own only for how well the line through
exactly these images is measured. So is the idle power where it was measured after each modality.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from nic_energy.models.jackknife import Jackknife, jackknife, least_squares_weights
from nic_energy.statistics.gum import Budget, Component
from nic_energy.vocabulary import OWN_IDLES

FloatArray = npt.NDArray[np.float64]

IMAGES, IDLE, GAIN, TREND = "images", "idle", "gain", "trend"
COMMON = (IDLE, GAIN, TREND)
IMAGES_ONLY = "images_only"
INDEPENDENT = ("u_repeatability_j", "u_edges_j", "u_temperature_j", "u_disagreement_j")
LEVEL = 0.95

PARAMETERS = (("alpha", "j_per_pixel"), ("beta", "j"))


class Shift(NamedTuple):
    """What one standard uncertainty of an input does to a quantity, signed, in its unit."""

    value: float
    degrees_of_freedom: float


class Common(NamedTuple):
    """What one standard uncertainty of an input common to all rows does to them at once, signed.

    `values` has shape (n,) in J for energies, shape (2,) in J/pixel and J for a line.
    """

    values: FloatArray
    degrees_of_freedom: float


@dataclass(frozen=True)
class Quantity:
    """A quantity of a network, and what moves it.

    `images` holds a deviation per image, in the unit of `value` and indexed by image; their sum of
    squares is the variance that the choice of images causes, with `degrees_of_freedom`. It is
    None where too few images tell.
    """

    value: float
    images: pd.Series | None
    degrees_of_freedom: float
    shifts: Mapping[str, Shift] = field(default_factory=dict)

    def budget(self) -> Budget | None:
        """The combined uncertainty (GUM 5.1, G.4); None while that of the images is not known."""
        if self.images is None:
            return None
        common = [
            Component(name, abs(shift.value), shift.degrees_of_freedom)
            for name, shift in self.shifts.items()
        ]
        return Budget((Component(IMAGES, _norm(self.images), self.degrees_of_freedom), *common))


def difference(one: Quantity, two: Quantity) -> Budget | None:
    """The budget of `one.value - two.value`; None while that of the images is not known.

    What both share cancels: an image that both were measured on enters with the difference of its
    deviations, an input common to all rows with the difference of its shifts (GUM 5.2.2, with a
    correlation of 1).
    """
    if one.images is None or two.images is None:
        return None
    if one.images.index.intersection(two.images.index).empty:
        components = [
            Component(f"{IMAGES} of {which}", _norm(q.images), q.degrees_of_freedom)
            for which, q in (("the first", one), ("the second", two))
        ]
    else:
        paired = one.images.sub(two.images, fill_value=0.0)
        fewest = min(one.degrees_of_freedom, two.degrees_of_freedom)
        components = [Component(IMAGES, _norm(paired), fewest)]
    for name in sorted({*one.shifts, *two.shifts}):
        shifts = [quantity.shifts.get(name, Shift(0.0, math.inf)) for quantity in (one, two)]
        fewest = min(shift.degrees_of_freedom for shift in shifts)
        components.append(Component(name, abs(shifts[0].value - shifts[1].value), fewest))
    return Budget(tuple(components))


def _norm(deviations: Any) -> float:
    return float(np.linalg.norm(np.asarray(deviations, dtype=float)))


@dataclass(frozen=True)
class LineUncertainty:
    """What is known of alpha and beta of one group.

    Attributes:
        alpha, beta: in J/pixel and J.
        measurement: standard uncertainties of alpha and beta of the line through exactly these
            images, shape (2,); None where the rows carry no uncertainties.
        covariance: of (alpha, beta) by the bare jackknife, shape (2, 2); None with too few images.
        jackknife: what `covariance` came from.
    """

    alpha: Quantity
    beta: Quantity
    measurement: FloatArray | None
    covariance: FloatArray | None
    jackknife: Jackknife | None

    def at(self, pixels: FloatArray) -> FloatArray | None:
        """Combined standard uncertainty of the line at these pixels in J, shape as `pixels`.

        None where the uncertainty of the images is not known.
        """
        return self.of(np.stack([pixels, np.ones_like(pixels)], axis=-1))

    def of(self, contrasts: FloatArray) -> FloatArray | None:
        """Combined standard uncertainty of linear combinations of (alpha, beta), shape (m,).

        It takes along that alpha and beta are correlated (GUM 5.2.2). None where the uncertainty
        of the images is not known.

        Args:
            contrasts: shape (m, 2), the coefficients of alpha and beta.
        """
        if self.jackknife is None or self.covariance is None:
            return None
        bare = np.einsum("mp,pq,mq->m", contrasts, self.covariance, contrasts)
        variance = self.jackknife.scale(contrasts) * np.maximum(bare, 0)
        for name, shift in self.alpha.shifts.items():
            both = np.array([shift.value, self.beta.shifts[name].value])
            variance = variance + (contrasts @ both) ** 2
        return np.asarray(np.sqrt(variance), dtype=float)

    def coverage_factor(self) -> float:
        """Of linear combinations, at `LEVEL`: the larger of those of alpha and beta.

        NaN where the uncertainty of the images is not known.
        """
        budgets = [budget for q in (self.alpha, self.beta) if (budget := q.budget())]
        return max((budget.coverage_factor(LEVEL) for budget in budgets), default=math.nan)


def line_uncertainty(group: pd.DataFrame) -> LineUncertainty | None:
    """The uncertainty of the line through the rows of energy.csv of one part, network and level.

    Columns of the rows' own budget that the table lacks, or that are empty, are left out.
    None where no line can be fitted.
    """
    pixels = numbers(group, "pixels")
    weights = least_squares_weights(pixels)
    if weights is None:
        return None
    inputs = {name: _of_line(pixels, common) for name, common in common_inputs(group).items()}
    known = {name: common for name, common in inputs.items() if common is not None}
    resampled = jackknife(pixels, group["image"].to_numpy())
    alpha, beta, covariance = line_quantities(resampled, weights, numbers(group, "energy_j"), known)
    return LineUncertainty(alpha, beta, _measurement(group, weights, known), covariance, resampled)


def line_quantities(
    resampled: Jackknife | None,
    weights: FloatArray,
    energy_j: FloatArray,
    inputs: Mapping[str, Common],
) -> tuple[Quantity, Quantity, FloatArray | None]:
    """(alpha, beta, their covariance by the bare jackknife) of energies of shape (n,).

    Args:
        resampled: `jackknife` of the rows. weights: `least_squares_weights` of the rows.
        inputs: what shifts the line, shape (2,) each.
    """
    line = weights @ energy_j
    parts = [
        {name: Shift(float(c.values[p]), c.degrees_of_freedom) for name, c in inputs.items()}
        for p in range(2)
    ]
    if resampled is None:
        alpha, beta = (Quantity(float(line[p]), None, math.nan, parts[p]) for p in range(2))
        return alpha, beta, None
    deviations = resampled.deviations(energy_j)
    scaled = deviations * np.sqrt(resampled.parameter_scales)
    alpha, beta = (
        Quantity(
            float(line[p]),
            pd.Series(scaled[:, p], index=resampled.images),
            resampled.degrees_of_freedom[p],
            parts[p],
        )
        for p in range(2)
    )
    return alpha, beta, deviations.T @ deviations


def common_inputs(table: pd.DataFrame) -> dict[str, Common]:
    """By input, what one standard uncertainty of it does to each energy, shape (n,), in J.

    A larger idle power lowers all energies, a larger gain raises them, and so does a trend. A value
    is NaN where its row does not know it. An input that no row knows is left out, and so is the
    idle power where every row has one of its own, and the trend where none was found.
    """
    found: dict[str, Common] = {}
    idle, paired = numbers(table, "u_idle_j"), _paired(table)
    if np.isfinite(idle[~paired]).any():
        freedom = numbers(table, "idle_degrees_of_freedom")[~paired]
        known = freedom[freedom > 0]
        fewest = float(known.min()) if len(known) else math.inf
        found[IDLE] = Common(np.where(paired, 0.0, -idle), fewest)
    gain = numbers(table, "u_gain_j")
    if np.isfinite(gain).any():
        found[GAIN] = Common(gain, math.inf)
    trend = numbers(table, "u_trend_j")
    if (trend > 0).any():
        found[TREND] = Common(trend, math.inf)
    return found


def numbers(table: pd.DataFrame, name: str) -> FloatArray:
    """A column as numbers, shape (n,); NaN where it is empty or the table has none."""
    if name not in table.columns:
        return np.full(len(table), np.nan)
    return pd.to_numeric(table[name]).to_numpy(dtype=float)


def _paired(table: pd.DataFrame) -> npt.NDArray[np.bool_]:
    if "idle_kind" not in table.columns:
        return np.zeros(len(table), dtype=bool)
    return np.asarray(table["idle_kind"].isin(OWN_IDLES), dtype=bool)


def _of_line(pixels: FloatArray, common: Common) -> Common | None:
    """The line through the shifts of the energies is the shift of the line."""
    known = np.isfinite(common.values)
    weights = least_squares_weights(pixels[known])
    if weights is None:
        return None
    return Common(weights @ common.values[known], common.degrees_of_freedom)


def _measurement(
    group: pd.DataFrame, weights: FloatArray, inputs: Mapping[str, Common]
) -> FloatArray | None:
    """GUM 5.1.2, with the sensitivities of least squares, and the common inputs."""
    own = [_filled(numbers(group, name)) for name in INDEPENDENT]
    paired = _paired(group)
    if paired.any():
        own.append(_filled(np.where(paired, numbers(group, "u_idle_j"), 0.0)))
    known = [values for values in own if values is not None]
    if not known and not inputs:
        return None
    variance = weights**2 @ sum((values**2 for values in known), np.zeros(len(group)))
    for common in inputs.values():
        variance = variance + common.values**2
    return np.asarray(np.sqrt(variance), dtype=float)


def _filled(values: FloatArray) -> FloatArray | None:
    """Rows that do not know their own take the root mean square of the others."""
    known = np.isfinite(values)
    if not known.any():
        return None
    return np.where(known, values, math.sqrt(float(np.mean(values[known] ** 2))))


def uncertainty_columns(group: pd.DataFrame) -> dict[str, Any]:
    """The uncertainty columns of a row of energy_models.csv; empty where not known.

    `dominating` is the largest input of the combined uncertainty, or `images_only` where the rows
    carry no budget to weigh it against. `shift` columns are signed: the change of alpha or beta
    for one standard uncertainty of an input that all networks of a set-up share.
    """
    found = line_uncertainty(group)
    if found is None:
        return {}
    row: dict[str, Any] = {}
    for p, (name, unit) in enumerate(PARAMETERS):
        quantity = (found.alpha, found.beta)[p]
        if found.measurement is not None:
            row[f"{name}_u_measurement_{unit}"] = float(found.measurement[p])
        for shifted, shift in quantity.shifts.items():
            row[f"{name}_shift_{shifted}_{unit}"] = shift.value
        budget = quantity.budget()
        if budget is not None:
            row[f"{name}_u_{unit}"] = budget.combined_standard_uncertainty
            row[f"{name}_expanded_{unit}"] = budget.expanded_uncertainty(LEVEL)
            row[f"{name}_dominating"] = budget.dominating if quantity.shifts else IMAGES_ONLY
    return row
