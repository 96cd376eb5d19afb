"""What section 5 of the paper states of the slope over MAC operations, for ours."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from nic_energy.models.linear import FloatArray, fit_line, mean_relative_error_percent
from nic_energy.models.published import (
    KEYS,
    Published,
    Row,
    Statement,
    beside,
    interval,
    stated,
)
from nic_energy.models.slopes import with_predictors

WITHOUT_ONE = "range without one network"
PREDICTORS = (
    "published_kmac_per_pixel",
    "kmac_per_pixel",
    "published_kmac_per_pixel_second_layer",
    "kmac_per_pixel_second_layer",
    "kmac_per_pixel_executed",
)


def section5_rows(
    models: pd.DataFrame, slopes: pd.DataFrame, complexity: pd.DataFrame, published: Published
) -> list[Row]:
    """The fits of the slope over MAC operations, and the line of Fig. 3.

    Args:
        models: energy_models.csv. slopes: complexity_models.csv; both of one set-up, part and
            estimator. complexity: complexity.csv.
    """
    ours = with_predictors(models, complexity, published.table1)
    printed = published.table2[[*KEYS, "alpha_j_per_pixel"]]
    theirs = with_predictors(printed, complexity, published.table1)
    said = {
        statement.predictor: statement for statement in published.said("slope_fit_error_percent")
    }
    rows: list[Row] = []
    for predictor in PREDICTORS:
        fits = slopes[slopes["predictor"] == predictor].dropna(subset=["slope"])
        if fits.empty:
            continue
        fit = fits.iloc[0].to_dict()
        own = _points(theirs, predictor)
        rows += _fit_rows(predictor, fit, own, _points(ours, predictor), said.get(predictor))
    return rows


class Points(NamedTuple):
    """Slopes over a predictor, shape (n,), and whose they are."""

    x: FloatArray
    alpha: FloatArray
    networks: Sequence[str]


def _points(joined: pd.DataFrame, predictor: str) -> Points:
    known = joined.dropna(subset=[predictor, "alpha_j_per_pixel"])
    return Points(
        known[predictor].to_numpy(dtype=float),
        known["alpha_j_per_pixel"].to_numpy(dtype=float),
        list(known["network"]),
    )


def fit_error_percent(points: Points) -> float | None:
    """In-sample mean relative error of the line, as the paper's; None without a line."""
    line = fit_line(points.x, points.alpha)
    if line is None or not (points.alpha > 0).all():
        return None
    return mean_relative_error_percent(line.predict(points.x), points.alpha)


def _fit_rows(
    predictor: str, fit: Mapping[Any, Any], own: Points, ours: Points, said: Statement | None
) -> list[Row]:
    theirs = fit_line(own.x, own.alpha)
    rows: list[Row] = []
    error, tables_give = fit["mean_relative_error_percent"], fit_error_percent(own)
    if pd.notna(error):
        row = beside("section 5", "slope_fit_error_percent", "%", float(error))
        if said is not None and tables_give is not None:
            row = stated(said, "%", float(error), tables_give, None)
            if not predictor.startswith("published_"):
                row["note"] = "printed for the paper's own counts"
        row["from_printed_tables"] = tables_give
        rows.append(row | interval(*_without_one(ours), WITHOUT_ONE))
    for quantity, unit, value in (
        ("slope_fit_slope", "J/kMAC", fit["slope"]),
        ("slope_fit_intercept", "J/px", fit["intercept"]),
        ("slope_fit_pearson_r", "", fit["pearson_r"]),
    ):
        if pd.notna(value):
            row = beside("section 5", quantity, unit, float(value))
            if theirs is not None:
                row["from_printed_tables"] = getattr(theirs, FIT_ATTRIBUTES[quantity])
            rows.append(row)
    return [{**row, "predictor": predictor} for row in rows]


FIT_ATTRIBUTES = {
    "slope_fit_slope": "slope",
    "slope_fit_intercept": "intercept",
    "slope_fit_pearson_r": "pearson_r",
}


def _without_one(points: Points) -> tuple[float | None, float | None]:
    """The least and the largest error of the fit when each network is left out in turn."""
    errors = []
    names = np.array(points.networks)
    for network in sorted(set(points.networks)):
        rest = names != network
        error = fit_error_percent(Points(points.x[rest], points.alpha[rest], list(names[rest])))
        if error is None:
            return None, None
        errors.append(error)
    return (min(errors), max(errors)) if errors else (None, None)
