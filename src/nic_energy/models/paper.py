"""The paper's tables and statements beside ours: paper_comparison.csv.

`from_printed_tables` is what the same procedure makes of the paper's own Tables 1 and 2; where it
is not what the text prints, `note` says so. Ours on another GPU need not agree with the paper's.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from nic_energy import tables
from nic_energy.models.paper_energy import (
    IMAGES_INTERVAL,
    LINE_INTERVAL,
    section4_rows,
)
from nic_energy.models.paper_slope import section5_rows
from nic_energy.models.published import KEYS, Published, Row, beside, symmetric
from nic_energy.models.uncertainty import LEVEL, numbers

GROUP = ["setup", "source", "part", "estimator"]
DIGIT = 0.1
"""Table 1 prints kMAC with one decimal, cut off rather than rounded."""

COUNTED = {
    "parameters": "",
    "pad_multiple": "px",
    "kmac_per_pixel": "kMAC/px",
    "kmac_per_pixel_second_layer": "kMAC/px",
}
FITTED = {"alpha": "j_per_pixel", "beta": "j"}
UNITS = {"alpha": "J/px", "beta": "J"}


def paper_comparison(
    energy: pd.DataFrame,
    models: pd.DataFrame,
    folds: pd.DataFrame,
    slopes: pd.DataFrame,
    complexity: pd.DataFrame,
    published: Published,
) -> pd.DataFrame:
    """paper_comparison.csv: a row per printed number, and per number of ours that goes with one.

    Rows of Table 1 are counted, not metered: their `source` is empty.

    Args:
        energy: energy.csv. models: energy_models.csv. folds: folds.csv.
        slopes: complexity_models.csv. complexity: complexity.csv.
    """
    rows = table1_rows(complexity, published)
    for values, group in models.groupby(GROUP, sort=False):
        head: dict[str, Any] = dict(zip(GROUP, values, strict=True))
        own = _of(energy, head)
        found = [
            *table2_rows(group, _of(folds, {k: v for k, v in head.items() if k != "estimator"}),
                         published),
            *section4_rows(own, group, published),
            *section5_rows(group, _of(slopes, head), complexity, published),
        ]  # fmt: skip
        rows += [{**head, **row} for row in found]
    return tables.frame(rows, tables.COMPARISON_COLUMNS)


def _of(table: pd.DataFrame, head: Mapping[str, Any]) -> pd.DataFrame:
    """The rows of one set-up, source, part and, where it says so, estimator."""
    inside = pd.Series(True, index=table.index)
    for name, value in head.items():
        inside &= table[name] == value
    return table[inside]


def table1_rows(complexity: pd.DataFrame, published: Published) -> list[Row]:
    """Parameters, padding and MAC operations per network and level."""
    counted = complexity.sort_values("quality", kind="stable").drop_duplicates(KEYS)
    counted = counted.sort_index()
    both = counted.merge(published.table1, on=KEYS, how="left", suffixes=("", "_printed"))
    rows = []
    for row in both.to_dict("records"):
        for name, unit in COUNTED.items():
            printed = float(row[f"{name}_printed"])
            rows.append(
                beside("Table 1", name, unit, float(row[name]), printed, **_key(row))
                | {"note": _digits_note(float(row[name]), printed, unit)}
            )
    return rows


def _digits_note(ours: float, printed: float, unit: str) -> str | None:
    if not math.isfinite(printed):
        return None
    step = DIGIT if unit == "kMAC/px" else 0.5
    return None if -1e-9 <= ours - printed < step else "not the printed digits"


def _key(row: Mapping[Any, Any]) -> Row:
    return {name: row[name] for name in ("network", "abbreviation", "level")}


def table2_rows(models: pd.DataFrame, folds: pd.DataFrame, published: Published) -> list[Row]:
    """alpha, beta and the cross-validated error per network and level."""
    columns = ["alpha_j_per_pixel", "beta_j", "mean_relative_error_percent"]
    both = models.merge(
        published.table2[[*KEYS, *columns]], on=KEYS, how="left", suffixes=("", "_printed")
    )
    rows = []
    for row in both.to_dict("records"):
        if pd.isna(row["alpha_j_per_pixel"]):
            continue
        for name, unit in FITTED.items():
            column, ours = f"{name}_{unit}", float(row[f"{name}_{unit}"])
            half = row.get(f"{name}_expanded_{unit}")
            rows.append(
                beside("Table 2", column, UNITS[name], ours, row[f"{column}_printed"], **_key(row))
                | symmetric(ours, None if half is None else float(half), LINE_INTERVAL)
            )
        if pd.notna(row["mean_relative_error_percent"]):
            rows.append(_error_row(row, folds))
    return rows


def _error_row(row: Mapping[Any, Any], folds: pd.DataFrame) -> Row:
    name = "mean_relative_error_percent"
    inside = (folds["network"] == row["network"]) & (folds["level"] == row["level"])
    half = error_half_width(folds[inside])
    ours = float(row[name])
    return beside("Table 2", name, "%", ours, row[f"{name}_printed"], **_key(row)) | symmetric(
        ours, half, IMAGES_INTERVAL
    )


def error_half_width(folds: pd.DataFrame) -> float | None:
    """Half the 95 % interval of Eq. (3) in percent over other images, given the fitted lines.

    Errors of one image at several qualities count as one cluster. None for fewer than three
    images.
    """
    if folds["image"].nunique() < 3:
        return None
    true = numbers(folds, "energy_j")
    errors = 100 * np.abs(numbers(folds, "predicted_energy_j") - true) / true
    sums = pd.Series(errors - errors.mean()).groupby(folds["image"].to_numpy()).sum()
    count = len(sums)
    u = math.sqrt(count / (count - 1) * float((sums**2).sum())) / len(errors)
    return float(stats.t.ppf((1 + LEVEL) / 2, count - 1)) * u
