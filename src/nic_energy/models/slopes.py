"""The slope alpha over the complexity of a network (paper, section 5, Fig. 3)."""

import pandas as pd

from nic_energy import tables
from nic_energy.models.linear import FloatArray, fit_line, mean_relative_error_percent

GROUP = ["setup", "source", "part", "estimator"]
COUNTED = ("kmac_per_pixel", "kmac_per_pixel_second_layer", "kmac_per_pixel_executed", "parameters")
PUBLISHED = ("kmac_per_pixel", "kmac_per_pixel_second_layer")


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
    """
    joined = with_predictors(models, complexity, published)
    rows = []
    for keys, group in joined.groupby(GROUP, sort=False):
        for predictor in tables.PREDICTORS:
            points = group[[predictor, "alpha_j_per_pixel"]].dropna()
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
                }
            rows.append(row)
    return tables.frame(rows, tables.COMPLEXITY_MODEL_COLUMNS)


def _error(predicted: FloatArray, alpha: FloatArray) -> float | None:
    """Empty where a slope is not positive: a relative error would mean nothing."""
    return mean_relative_error_percent(predicted, alpha) if (alpha > 0).all() else None
