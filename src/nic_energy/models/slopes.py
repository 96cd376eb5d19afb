"""The slope alpha over the complexity of a network (paper, section 5, Fig. 3)."""

import numpy as np
import pandas as pd

from nic_energy import tables
from nic_energy.models.jackknife import least_squares_weights
from nic_energy.models.linear import FloatArray, fit_line, mean_relative_error_percent
from nic_energy.models.uncertainty import COMMON, numbers

GROUP = ["setup", "source", "part", "estimator"]
COUNTED = ("kmac_per_pixel", "kmac_per_pixel_second_layer", "kmac_per_pixel_executed", "parameters")
PUBLISHED = ("kmac_per_pixel", "kmac_per_pixel_second_layer")
ALPHA_U = "alpha_u_j_per_pixel"
ALPHA_SHIFTS = tuple(f"alpha_shift_{name}_j_per_pixel" for name in COMMON)


def with_predictors(
    models: pd.DataFrame, complexity: pd.DataFrame, published: pd.DataFrame
) -> pd.DataFrame:
    """Energy models with a column for every predictor; empty where a network lacks it.

    Args:
        models: energy_models.csv.
        complexity: complexity.csv; the lowest quality of a level stands for the level.
        published: the paper's Table 1.
    """
    counted = complexity.sort_values("quality").drop_duplicates(["network", "level"])
    counted = counted[["network", "level", *COUNTED]]
    printed = published[["network", "level", *PUBLISHED]].rename(
        columns={name: f"published_{name}" for name in PUBLISHED}
    )
    keys = ["network", "level"]
    return models.merge(counted, on=keys, how="left").merge(printed, on=keys, how="left")


def complexity_models(
    models: pd.DataFrame, complexity: pd.DataFrame, published: pd.DataFrame
) -> pd.DataFrame:
    """complexity_models.csv: an unweighted line through (predictor, alpha) per predictor.

    The mean relative error is in-sample, as the paper's. Fewer than three points give no line.
    `slope_u` and `intercept_u` say how far the uncertainty of alpha moves the line, not how far
    the networks scatter about it; they are empty where an alpha has no uncertainty.
    """
    joined = with_predictors(models, complexity, published)
    rows = []
    for keys, group in joined.groupby(GROUP, sort=False):
        for predictor in tables.PREDICTORS:
            points = group.dropna(subset=[predictor, "alpha_j_per_pixel"])
            x = points[predictor].to_numpy(dtype=float)
            alpha = points["alpha_j_per_pixel"].to_numpy(dtype=float)
            row = {**dict(zip(GROUP, keys, strict=True)), "predictor": predictor, "n": len(x)}
            line = fit_line(x, alpha)
            if line is not None:
                row |= {
                    "slope": line.slope,
                    "intercept": line.intercept,
                    "mean_relative_error_percent": _error(line.predict(x), alpha),
                    "pearson_r": line.pearson_r,
                    **_uncertainties(points, x),
                }
            rows.append(row)
    return tables.frame(rows, tables.COMPLEXITY_MODEL_COLUMNS)


def _error(predicted: FloatArray, alpha: FloatArray) -> float | None:
    """Empty where a slope is not positive: a relative error would mean nothing."""
    return mean_relative_error_percent(predicted, alpha) if (alpha > 0).all() else None


def _uncertainties(points: pd.DataFrame, x: FloatArray) -> dict[str, float]:
    """Standard uncertainties of the line through (x, alpha), propagated by least squares.

    What an input common to all networks does to their alphas it does to the line at once
    (GUM 5.2.2, with a correlation of 1); the rest is taken as independent from point to point
    (GUM 5.1.2). Networks that were measured on the same images share part of that rest, which
    energy_models.csv does not hold.
    """
    weights, u = least_squares_weights(x), numbers(points, ALPHA_U)
    if weights is None or not np.isfinite(u).all():
        return {}
    shifts = [np.nan_to_num(numbers(points, name)) for name in ALPHA_SHIFTS]
    own = u**2 - sum((shift**2 for shift in shifts), np.zeros(len(x)))
    variance = weights**2 @ np.maximum(own, 0)
    for shift in shifts:
        variance = variance + (weights @ shift) ** 2
    slope_u, intercept_u = np.sqrt(variance)
    return {"slope_u": float(slope_u), "intercept_u": float(intercept_u)}
