"""Energy over pixels: E = alpha * S + beta (paper, Eq. (2)), validated as in Eq. (3)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold

from nic_energy import tables
from nic_energy.config import Network
from nic_energy.errors import MismatchError
from nic_energy.models.uncertainty import uncertainty_columns

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

LEAST = 3
GROUP = ["setup", "source", "part", "estimator", "network", "level"]


@dataclass(frozen=True)
class Line:
    """A least-squares line; `slope` in units of y over units of x."""

    slope: float
    intercept: float
    pearson_r: float | None

    def predict(self, x: FloatArray) -> FloatArray:
        """Values of the line, shape as `x`."""
        return self.slope * x + self.intercept


def fit_line(x: FloatArray, y: FloatArray) -> Line | None:
    """Least squares on shape (n,); None for fewer than 3 points or when all x are equal."""
    if len(x) < LEAST or np.ptp(x) == 0:
        return None
    fit = LinearRegression().fit(x[:, None], y)
    r = float(np.corrcoef(x, y)[0, 1]) if np.ptp(y) > 0 else None
    return Line(float(fit.coef_[0]), float(fit.intercept_), r)


def mean_relative_error_percent(predicted: FloatArray, true: FloatArray) -> float:
    """Eq. (3), in percent."""
    return float(np.mean(np.abs(predicted - true) / true) * 100)


def not_positive(joules: FloatArray) -> str | None:
    """Why errors relative to these energies mean nothing; None where all of them are positive.

    An energy over idle is not where idle took more than the network's own windows: the work is
    within the noise, or something else ran during the idle reference.
    """
    count = int(np.sum(~(joules > 0)))
    return f"{count} of {len(joules)} energies not positive" if count else None


def cross_validate(
    x: FloatArray, y: FloatArray, folds: int, seed: int
) -> tuple[FloatArray, IntArray] | None:
    """(prediction of each point by the line of the other folds, its fold), shape (n,).

    There are at most as many folds as points. None where a training set allows no line.
    """
    predicted, fold_of = np.empty(len(x)), np.empty(len(x), dtype=np.int64)
    splitter = KFold(min(folds, len(x)), shuffle=True, random_state=seed)
    for fold, (train, test) in enumerate(splitter.split(x)):
        line = fit_line(x[train], y[train])
        if line is None:
            return None
        predicted[test], fold_of[test] = line.predict(x[test]), fold
    return predicted, fold_of


def energy_models(
    energy: pd.DataFrame, networks: Mapping[str, Network], folds: int, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(energy_models.csv, folds.csv): a line per part, network and level, and how well it is known.

    A network and level with too few points, or with one image size only, keeps its row, with
    `note` saying why nothing was fitted.

    Raises:
        MismatchError: the energies have different sources or estimators.
    """
    for column in ("source", "estimator"):
        kinds = sorted(set(energy[column]))
        if len(kinds) > 1:
            raise MismatchError(
                f"energies with different {column} are not fitted together: {', '.join(kinds)}."
            )
    rows: list[dict[str, Any]] = []
    recorded: list[pd.DataFrame] = []
    for keys, group in energy.groupby(GROUP, sort=False):
        head: dict[str, Any] = dict(zip(GROUP, keys, strict=True))
        head["abbreviation"] = networks[str(head["network"])].abbreviation
        row, folds_of = _model(group, folds, seed)
        rows.append({**head, **row})
        if folds_of is not None:
            recorded.append(folds_of)
    return (
        tables.frame(rows, tables.ENERGY_MODEL_COLUMNS),
        pd.concat(recorded)[list(tables.FOLD_COLUMNS)]
        if recorded
        else tables.frame([], tables.FOLD_COLUMNS),
    )


def _model(
    group: pd.DataFrame, folds: int, seed: int
) -> tuple[dict[str, Any], pd.DataFrame | None]:
    pixels = group["pixels"].to_numpy(dtype=float)
    joules = group["energy_j"].to_numpy(dtype=float)
    line = fit_line(pixels, joules)
    if line is None:
        reason = "fewer than 3 points" if len(pixels) < LEAST else "one image size only"
        return {"n": len(pixels), "note": f"not fitted: {reason}"}, None
    row: dict[str, Any] = {
        "n": len(pixels),
        "alpha_j_per_pixel": line.slope,
        "beta_j": line.intercept,
        "pearson_r": line.pearson_r,
        "folds": min(folds, len(pixels)),
        "note": None,
        **uncertainty_columns(group),
    }
    unfit = not_positive(joules)
    if unfit is not None:
        return {**row, "note": f"not validated: {unfit}"}, None
    validated = cross_validate(pixels, joules, folds, seed)
    if validated is None:
        return {**row, "note": "not validated: too few points a fold"}, None
    predicted, fold_of = validated
    row["mean_relative_error_percent"] = mean_relative_error_percent(predicted, joules)
    return row, group.assign(fold=fold_of, predicted_energy_j=predicted)
