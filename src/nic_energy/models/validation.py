"""How well Eq. (2) predicts, by several splits, and how far its parameters are known.

Every table here takes energy.csv and has rows per part, network and level, in the order of
energy_models.csv; see docs/validation.md.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from nic_energy import tables
from nic_energy.config import Config, Network
from nic_energy.models.linear import GROUP, FloatArray, fit_line, not_positive
from nic_energy.models.regression import METHODS
from nic_energy.models.splits import (
    BY_IMAGE,
    BY_SIZE,
    LEAKS,
    PAPER,
    Labels,
    groups_of,
    line_of,
    out_of_fold,
    relative_errors_percent,
)
from nic_energy.models.uncertainty import LEVEL, numbers, uncertainty_columns
from nic_energy.statistics.clustered import (
    LEAST_CLUSTERS,
    Interval,
    draw,
    effective,
    expanded_percentiles,
)

CLUSTERS: Mapping[str, str] = {PAPER: BY_IMAGE, BY_IMAGE: BY_IMAGE, BY_SIZE: BY_SIZE}
"""What is drawn together in the bootstrap, by split: rows of one image are never independent."""

NO_INTERVAL = f"no interval: fewer than {LEAST_CLUSTERS} effective clusters"

CLUSTER_NAMES: Mapping[str, str] = {BY_IMAGE: "image", BY_SIZE: "padded_size"}


@dataclass(frozen=True)
class Plan:
    """How thoroughly to validate.

    Attributes:
        folds: of every cross-validation. repeats: of it, each with other folds.
        resamples: of the bootstrap. seed: of the folds (repeat r has `seed + r`) and the bootstrap.
    """

    folds: int = 10
    repeats: int = 20
    resamples: int = 2000
    seed: int = 0

    @classmethod
    def of(cls, config: Config) -> "Plan":
        """As the configuration says."""
        keys = ("cross_validation_folds", "cross_validation_repeats", "bootstrap_resamples", "seed")
        return cls(*(config.document[key] for key in keys))


def groups_with_head(
    energy: pd.DataFrame, networks: Mapping[str, Network]
) -> Iterator[tuple[dict[str, Any], pd.DataFrame, Network]]:
    """(what a row of a table begins with, rows of energy.csv, network) by part and level."""
    for keys, group in energy.groupby(GROUP, sort=False):
        head: dict[str, Any] = dict(zip(GROUP, keys, strict=True))
        network = networks[str(head["network"])]
        yield {**head, "abbreviation": network.abbreviation}, group, network


def validation(energy: pd.DataFrame, networks: Mapping[str, Network], plan: Plan) -> pd.DataFrame:
    """validation.csv: Eq. (3) by each split, over repeats and with a cluster-bootstrap interval."""
    rows: list[dict[str, Any]] = []
    for head, group, network in groups_with_head(energy, networks):
        groups = groups_of(group, network)
        for split, leaks in LEAKS.items():
            row = {**head, "n": len(group), "split": split, "leaks": leaks}
            rows.append({**row, **_split(group, groups, split, plan)})
    return tables.frame(rows, tables.VALIDATION_COLUMNS)


def _split(
    group: pd.DataFrame, groups: Mapping[str, Labels | None], split: str, plan: Plan
) -> dict[str, Any]:
    joules = group["energy_j"].to_numpy(dtype=float)
    own, cluster = groups[split], CLUSTERS[split]
    names, codes = np.unique(np.asarray(groups[cluster]), return_inverse=True)
    units = len(joules) if own is None else len(np.unique(own))
    row: dict[str, Any] = {
        "folds": min(plan.folds, units),
        "resampled": CLUSTER_NAMES[cluster],
        "clusters": len(names),
        "effective_clusters": effective(codes),
    }
    reason = not_positive(joules)
    if reason is not None:
        return {**row, "note": f"not validated: {reason}"}
    fit = line_of(numbers(group, "pixels"), joules, METHODS["least_squares"])
    predicted = out_of_fold(fit, len(joules), own, plan.folds, plan.seed, plan.repeats)
    if predicted is None:
        return {**row, "note": "not validated: a training set allows no line"}
    errors = np.abs(relative_errors_percent(predicted, joules))
    each = errors.mean(axis=1)
    row["repeats"] = len(each)
    row["mean_relative_error_percent"] = float(each.mean())
    row["mean_relative_error_std_percent"] = float(each.std(ddof=1)) if len(each) > 1 else None
    interval = _error_interval(errors.mean(axis=0), codes, plan)
    if interval is None:
        return {**row, "note": NO_INTERVAL}
    return {**row, "low_percent": interval.low, "high_percent": interval.high}


def _error_interval(errors: FloatArray, codes: npt.NDArray[Any], plan: Plan) -> Interval | None:
    """Of the mean over rows of shape (n,), whole clusters drawn; the predictions stay."""
    sizes = np.bincount(codes)
    drawn = draw(len(sizes), plan.resamples, plan.seed)
    means = (drawn @ np.bincount(codes, errors)) / (drawn @ sizes)
    return expanded_percentiles(means, codes, LEVEL)


def bootstrap(energy: pd.DataFrame, networks: Mapping[str, Network], plan: Plan) -> pd.DataFrame:
    """bootstrap.csv: 95 % intervals of alpha and beta, whole images or sizes drawn, beside the
    expanded uncertainties of energy_models.csv.
    """
    rows: list[dict[str, Any]] = []
    for head, group, network in groups_with_head(energy, networks):
        pixels, joules = numbers(group, "pixels"), numbers(group, "energy_j")
        line = fit_line(pixels, joules)
        if line is None:
            continue
        known, groups = uncertainty_columns(group), groups_of(group, network)
        for split, resampled in CLUSTER_NAMES.items():
            names, codes = np.unique(np.asarray(groups[split]), return_inverse=True)
            intervals = line_intervals(pixels, joules, codes, plan)
            for quantity, value, half, interval in zip(
                ("alpha_j_per_pixel", "beta_j"),
                (line.slope, line.intercept),
                (known.get("alpha_expanded_j_per_pixel"), known.get("beta_expanded_j")),
                intervals,
                strict=True,
            ):
                row = {**head, "quantity": quantity, "value": value, "resampled": resampled}
                row |= {"clusters": len(names), "effective_clusters": effective(codes)}
                row["resamples"] = plan.resamples
                if half is not None:
                    row |= {"gum_low": value - half, "gum_high": value + half}
                if interval is not None:
                    row |= {"low": interval.low, "high": interval.high}
                else:
                    row["note"] = NO_INTERVAL
                rows.append(row)
    return tables.frame(rows, tables.BOOTSTRAP_COLUMNS)


def line_intervals(
    pixels: FloatArray, joules: FloatArray, codes: npt.NDArray[Any], plan: Plan
) -> tuple[Interval | None, Interval | None]:
    """Cluster-bootstrap intervals of (alpha, beta) of the least-squares line.

    Resamples in which all pixels are equal have no line and are left out.

    Args:
        pixels, joules: shape (n,). codes: the cluster of each row, from 0, shape (n,).
    """
    centre, unit = float(pixels.mean()), float(np.std(pixels)) or 1.0
    x = (pixels - centre) / unit
    moments = (np.ones_like(x), x, joules, x * x, x * joules)
    sums = np.array([np.bincount(codes, moment) for moment in moments])
    drawn = draw(sums.shape[1], plan.resamples, plan.seed)
    n, sx, sy, sxx, sxy = (drawn @ each for each in sums)
    spread = n * sxx - sx**2
    fine = spread > 1e-9 * n**2
    slope = (n * sxy - sx * sy)[fine] / spread[fine]
    alpha = slope / unit
    beta = sy[fine] / n[fine] - slope * sx[fine] / n[fine] - alpha * centre
    return (
        expanded_percentiles(alpha, codes, LEVEL),
        expanded_percentiles(beta, codes, LEVEL),
    )
