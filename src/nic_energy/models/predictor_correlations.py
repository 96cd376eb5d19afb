"""What energy per pixel goes with: the slope alpha over every network parameter that is counted.

The paper finds (section 5) that MAC operations per pixel correlate most. Twelve points of six
networks, two levels each of one architecture, cannot carry much, so the claim is examined by a
comparison that is fixed here before any data: `REFERENCE` against each other parameter, on the
same networks (paired), with networks and not points as what is resampled or left out (clustered).
It describes the networks at hand; it proves nothing of others.
"""

from typing import Any

import numpy as np
import pandas as pd

from nic_energy import tables
from nic_energy.models.linear import FloatArray, IntArray, fit_line, mean_relative_error_percent
from nic_energy.statistics.resampling import interval, resamples, sign_flip_p

GROUP = ["setup", "source", "part", "estimator"]
REFERENCE = "kmac_per_pixel"
PLANNED = ("parameters", "kmac_per_pixel_second_layer", "activation_bytes_per_pixel")
"""The comparisons that matter: the size of a network, the paper's own second candidate, and the
traffic of the memory. All others are there for completeness."""

LEAST_NETWORKS = 6
"""Of five networks one resample in ten holds one or two only, of six one in fifty."""

ROUNDING_DIGITS = 12


def correlate_predictors(models: pd.DataFrame, complexity: pd.DataFrame) -> pd.DataFrame:
    """predictor_correlations.csv: a row per network parameter, the largest |r| first.

    Intervals need `LEAST_NETWORKS` networks. A parameter that some network lacks, or that is the
    same for all, keeps its row without a rank.

    Args:
        models: energy_models.csv. complexity: complexity.csv; the lowest quality of a level
            stands for the level.
    """
    keys = ["network", "level"]
    counted = complexity.sort_values("quality").drop_duplicates(keys)
    joined = models[[*GROUP, *keys, "alpha_j_per_pixel"]].merge(
        counted[[*keys, *tables.NETWORK_PARAMETERS]], on=keys, how="left"
    )
    rows: list[dict[str, Any]] = []
    for values, group in joined.groupby(GROUP, sort=False):
        head = dict(zip(GROUP, values, strict=True))
        points = group.dropna(subset=["alpha_j_per_pixel"])
        rows += [{**head, **row} for row in _rows(points)]
    table = tables.frame(rows, tables.PREDICTOR_COLUMNS)
    return table.astype({"rank": "Int64", "rank_best": "Int64", "rank_worst": "Int64"})


def printed_correlations(table2: pd.DataFrame, complexity: pd.DataFrame) -> pd.DataFrame:
    """The same of the alpha that the paper prints, to be shown beside ours.

    Args:
        table2: the paper's Table 2, with `alpha_j_per_pixel`. complexity: complexity.csv.
    """
    head = {"setup": "printed", "source": "external", "part": "chain", "estimator": "external"}
    return correlate_predictors(table2.assign(**head), complexity)


def _rows(points: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of one set-up, estimator and part; `points` one a network and level."""
    alpha = points["alpha_j_per_pixel"].to_numpy(dtype=float)
    codes, networks = pd.factorize(points["network"])
    values = {
        name: pd.to_numeric(points[name]).to_numpy(dtype=float)
        for name in tables.NETWORK_PARAMETERS
    }
    ranked = [
        name
        for name, x in values.items()
        if np.isfinite(x).all() and fit_line(x, alpha) is not None and np.ptp(alpha) > 0
    ]
    rows = {name: _own(name, values[name], alpha, codes) for name in values}
    if ranked:
        x = np.stack([values[name] for name in ranked], axis=1)
        for name, more in zip(ranked, _compared(ranked, x, alpha, codes), strict=True):
            rows[name] |= more
    for row in rows.values():
        row |= {"networks": len(networks), "n": len(points)}
    order = sorted(rows, key=lambda name: (rows[name].get("rank", len(rows)), name not in ranked))
    return [rows[name] for name in order]


def _own(name: str, x: FloatArray, alpha: FloatArray, codes: IntArray) -> dict[str, Any]:
    """What one parameter says alone, over the points that have it."""
    known = np.isfinite(x)
    row: dict[str, Any] = {"predictor": name, "planned": name in PLANNED}
    line = fit_line(x[known], alpha[known])
    if line is None:
        return row
    row["pearson_r"] = line.pearson_r
    if (alpha > 0).all():
        row["mean_relative_error_percent"] = mean_relative_error_percent(
            line.predict(x[known]), alpha[known]
        )
    left_out = left_out_errors(x[known], alpha[known], codes[known])
    if left_out is not None:
        row["left_out_error_percent"] = float(left_out.mean())
    return row


def left_out_errors(x: FloatArray, alpha: FloatArray, codes: IntArray) -> FloatArray | None:
    """Mean relative error in percent of each network by the line of all others, shape (G,).

    None where the others give no line, or where a slope is not positive.
    """
    if not (alpha > 0).all():
        return None
    errors = []
    for code in np.unique(codes):
        inside = codes == code
        line = fit_line(x[~inside], alpha[~inside])
        if line is None:
            return None
        errors.append(mean_relative_error_percent(line.predict(x[inside]), alpha[inside]))
    return np.array(errors)


def _compared(
    names: list[str], x: FloatArray, alpha: FloatArray, codes: IntArray
) -> list[dict[str, Any]]:
    """Ranks, intervals and differences to the reference, in the order of `names`.

    Args:
        x: shape (n, P), a column a parameter.
    """
    strength = np.abs(correlations(np.ones((1, len(alpha))), x, alpha)[0])
    rows: list[dict[str, Any]] = [{"rank": int(rank)} for rank in _ranks(strength[None])[0]]
    networks = int(codes.max()) + 1
    if networks > 2:
        without = correlations(1.0 - np.eye(networks)[:, codes], x, alpha)
        for row, r in zip(rows, without.T, strict=True):
            row["pearson_r_without_one_low"] = float(np.nanmin(r))
            row["pearson_r_without_one_high"] = float(np.nanmax(r))
    reference = names.index(REFERENCE) if REFERENCE in names else None
    errors = [left_out_errors(column, alpha, codes) for column in x.T]
    if reference is not None:
        for number, row in enumerate(rows):
            if number != reference:
                row["reference"] = REFERENCE
                row["difference_r"] = float(strength[reference] - strength[number])
                row |= _paired(errors[reference], errors[number])
    if networks >= LEAST_NETWORKS:
        _add_intervals(rows, x, alpha, codes, reference)
    return rows


def _paired(reference: FloatArray | None, other: FloatArray | None) -> dict[str, Any]:
    """By how much leaving a network out costs more with the other parameter; and its p-value."""
    if reference is None or other is None:
        return {}
    differences = other - reference
    return {
        "difference_left_out_percent": float(differences.mean()),
        "sign_flip_p": sign_flip_p(differences),
        "sign_flip_p_least": 2.0 ** (1 - len(differences)),
    }


def _add_intervals(
    rows: list[dict[str, Any]],
    x: FloatArray,
    alpha: FloatArray,
    codes: IntArray,
    reference: int | None,
) -> None:
    """95 % intervals of r, of the rank and of the difference, over resampled networks."""
    counts, probability = resamples(int(codes.max()) + 1)
    r = correlations(counts[:, codes].astype(float), x, alpha)
    ranks = _ranks(np.abs(r))
    for number, row in enumerate(rows):
        row["pearson_r_low"], row["pearson_r_high"] = interval(r[:, number], probability)
        best, worst = interval(ranks[:, number], probability)
        row["rank_best"], row["rank_worst"] = int(best), int(worst)
        if reference is not None and number != reference:
            difference = np.abs(r[:, reference]) - np.abs(r[:, number])
            low, high = interval(difference, probability)
            row["difference_r_low"], row["difference_r_high"] = low, high


def correlations(weights: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """Pearson's r of y, shape (n,), with each column of x, shape (n, P), under each weighting.

    Args:
        weights: shape (B, n), from 0.

    Returns:
        Shape (B, P); NaN where the weighted x or y do not vary.
    """
    x = (x - x.mean(axis=0)) / np.where(np.ptp(x, axis=0) > 0, x.std(axis=0), 1.0)
    y = (y - y.mean()) / (y.std() or 1.0)
    shares = weights / weights.sum(axis=1, keepdims=True)
    mean_x, mean_y = shares @ x, shares @ y
    covariance = shares @ (x * y[:, None]) - mean_x * mean_y[:, None]
    variances = (shares @ x**2 - mean_x**2) * (shares @ y**2 - mean_y**2)[:, None]
    flat = variances < 1e-12
    r = covariance / np.sqrt(np.where(flat, 1.0, variances))
    return np.asarray(np.where(flat, np.nan, np.clip(r, -1.0, 1.0)), dtype=float)


def _ranks(strength: FloatArray) -> FloatArray:
    """Rank of each column in its row, 1 the largest; shape as `strength`. NaN comes last.

    What differs by less than rounding is equal: one processor's arithmetic must not rank otherwise
    than another's.
    """
    filled = np.round(np.where(np.isfinite(strength), strength, -1.0), ROUNDING_DIGITS)
    return np.asarray((filled[:, :, None] < filled[:, None, :]).sum(axis=2) + 1, dtype=float)
