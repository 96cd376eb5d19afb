"""Which network needs less energy than which, as far as the data can tell.

Networks are ranked within a level by alpha of Eq. (2) and by their mean energy over the images
that all of them were measured on. Two networks are told apart where their difference is
significant at 95 % after Holm's correction over all pairs of the ranking (S. Holm, "A Simple
Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6, 1979);
otherwise they are tied. What both share cancels in the difference: the images, the idle reference
and the gain of the power meter.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from nic_energy import tables
from nic_energy.config import Network
from nic_energy.models.uncertainty import (
    LEVEL,
    Quantity,
    Shift,
    common_inputs,
    difference,
    line_uncertainty,
)
from nic_energy.statistics.gum import Budget

BoolArray = npt.NDArray[np.bool_]

GROUP = ["setup", "source", "part", "estimator", "level"]


def ranking(
    energy: pd.DataFrame, networks: Mapping[str, Network], confidence: float = LEVEL
) -> pd.DataFrame:
    """ranking.csv: a row per quantity, level and network, the least energy first.

    `rank_best` and `rank_worst` are the ranks that the significant differences leave open. A
    network without the quantity (no line, no image in common) keeps its row, without ranks.

    Args:
        energy: energy.csv.
        networks: by name; their abbreviations name the ties.
        confidence: of all differences of a ranking together, between 0 and 1.
    """
    short = {name: network.abbreviation for name, network in networks.items()}
    rows: list[dict[str, Any]] = []
    for keys, group in energy.groupby(GROUP, sort=False):
        head = dict(zip(GROUP, keys, strict=True))
        for name, quantities_of in QUANTITIES.items():
            for row in ranked(quantities_of(group), short, confidence):
                rows.append({**head, "quantity": name, **row})
    return ranking_table(rows)


def ranking_table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows of ranking.csv as a table, ranks as whole numbers."""
    table = tables.frame(rows, tables.RANKING_COLUMNS)
    return table.astype({"rank_best": "Int64", "rank_worst": "Int64"})


def alphas(group: pd.DataFrame) -> dict[str, Quantity | None]:
    """alpha in J/pixel by network; None where no line can be fitted."""
    lines = {str(name): line_uncertainty(rows) for name, rows in group.groupby("network")}
    return {name: line.alpha if line else None for name, line in lines.items()}


def mean_energies(group: pd.DataFrame) -> dict[str, Quantity | None]:
    """Mean energy in J by network over the images that all networks of the group have.

    Every image counts once, with the mean over its qualities. None without a common image.
    """
    images = [set(rows["image"]) for _, rows in group.groupby("network")]
    common = group[group["image"].isin(set.intersection(*images))]
    return {
        str(name): _mean_energy(common[common["network"] == name])
        for name in sorted(set(group["network"]))
    }


def _mean_energy(rows: pd.DataFrame) -> Quantity | None:
    if rows.empty:
        return None
    by_image = rows.groupby("image")["energy_j"].mean()
    count, mean = len(by_image), float(by_image.mean())
    shifts = {}
    for name, common in common_inputs(rows).items():
        shift = pd.Series(common.values, index=rows.index).groupby(rows["image"]).mean().mean()
        shifts[name] = Shift(float(shift), common.degrees_of_freedom)
    # The jackknife of a mean: its sum of squares is the squared standard error of the mean.
    deviations = (mean - by_image) / math.sqrt(count * (count - 1)) if count > 1 else None
    return Quantity(mean, deviations, count - 1.0, shifts)


QUANTITIES: Mapping[str, Callable[[pd.DataFrame], dict[str, Quantity | None]]] = {
    "alpha_j_per_pixel": alphas,
    "mean_energy_j": mean_energies,
}


def p_value(value: float, budget: Budget | None) -> float:
    """Two-sided p-value of `value` against 0 (Student's t); 1 where its budget is not known."""
    if budget is None or value == 0:
        return 1.0
    u = budget.combined_standard_uncertainty
    if u == 0:
        return 0.0
    return float(2 * special.stdtr(budget.effective_degrees_of_freedom, -abs(value) / u))


def holm(p_values: Sequence[float], confidence: float) -> BoolArray:
    """Which of the hypotheses are rejected together at this confidence, in the order given."""
    rejected = np.zeros(len(p_values), dtype=bool)
    for done, number in enumerate(np.argsort(p_values, kind="stable")):
        if p_values[number] > (1 - confidence) / (len(p_values) - done):
            break
        rejected[number] = True
    return rejected


def ranked(
    quantities: Mapping[str, Quantity | None], short: Mapping[str, str], confidence: float = LEVEL
) -> list[dict[str, Any]]:
    """The rows of one ranking, the smallest value first.

    Args:
        quantities: by network. short: abbreviations of the networks.
    """
    known = sorted(
        ((name, q) for name, q in quantities.items() if q is not None), key=lambda nq: nq[1].value
    )
    lower = significantly_lower([quantity for _, quantity in known], confidence)
    rows: list[dict[str, Any]] = []
    for number, (name, quantity) in enumerate(known):
        budget = quantity.budget()
        tied = ~lower[number] & ~lower[:, number]
        tied[number] = False
        rows.append(
            {
                "network": name,
                "abbreviation": short[name],
                "value": quantity.value,
                "u": None if budget is None else budget.combined_standard_uncertainty,
                "rank_best": 1 + int(lower[:, number].sum()),
                "rank_worst": len(known) - int(lower[number].sum()),
                "tied_with": ";".join(
                    sorted(short[known[other][0]] for other in np.flatnonzero(tied))
                ),
            }
        )
    for name in sorted(name for name, quantity in quantities.items() if quantity is None):
        rows.append({"network": name, "abbreviation": short[name], "tied_with": ""})
    return rows


def significantly_lower(quantities: Sequence[Quantity], confidence: float) -> BoolArray:
    """Whether the row's quantity is significantly below the column's; shape (n, n)."""
    pairs = list(combinations(range(len(quantities)), 2))
    p_values = [
        p_value(
            quantities[one].value - quantities[two].value,
            difference(quantities[one], quantities[two]),
        )
        for one, two in pairs
    ]
    lower = np.zeros((len(quantities), len(quantities)), dtype=bool)
    for (one, two), told_apart in zip(pairs, holm(p_values, confidence), strict=True):
        if quantities[one].value < quantities[two].value:
            lower[one, two] = told_apart
        else:
            lower[two, one] = told_apart
    return lower
