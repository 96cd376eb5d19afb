"""Set-ups side by side: slopes normalised to a reference network, and what is portable.

The slope alpha of a network over that of a reference network on the same GPU is free of the gain of
the GPU's power sensor, so that GPUs can be compared by it without a calibration. A network is
portable between set-ups as far as this ratio agrees: where the largest difference that the data
allow (95 %) is within a tolerance. Two set-ups are told apart at 95 % over all comparisons together
(Holm). Nothing told apart is no agreement: the data may be too few.

In the difference between two set-ups, an image that both were measured on enters once, with the
difference of what it does to both; idle references are independent.

Only what is of one kind is compared: a difference between a measurement and a simulation would say
something about the simulation, not about the network.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import special

from nic_energy import tables
from nic_energy.errors import ConfigError
from nic_energy.models.ranking import p_value
from nic_energy.models.ratios import (
    contrast,
    half_width,
    logarithm,
    percent_above,
    ratio_columns,
)
from nic_energy.models.setups import KINDS, Key, SetUp, Slope, head
from nic_energy.models.uncertainty import LEVEL, Quantity, difference
from nic_energy.statistics.gum import Budget
from nic_energy.vocabulary import LEVELS

TOLERANCE_PERCENT = 10.0
"""Set-ups agree on a network where their differences are within this for sure (95 %)."""

AGREES, DIFFERS, UNDECIDED = "agrees", "differs", "undecided"


class Reference(NamedTuple):
    """The network and level that slopes are divided by."""

    network: str
    level: str

    def __str__(self) -> str:
        return f"{self.network}:{self.level}"


@dataclass(frozen=True)
class Normalised:
    """The logarithm of a slope over the reference's on the same set-up."""

    setup: SetUp
    slope: Slope
    log_ratio: Quantity | None
    note: str | None = None


def choose_reference(setups: Sequence[SetUp], wanted: str | None = None) -> Reference:
    """The network and level to divide by.

    Args:
        wanted: `network` or `network:level`; without a level the first of low and high that all
            set-ups have, without a network the first that they have.

    Raises:
        ConfigError: not all set-ups have it with a positive slope; names those that they have.
    """
    having = [{Reference(key.network, key.level) for key in setup.positive} for setup in setups]
    shared = set.intersection(*having)
    order = list(dict.fromkeys(str(name) for name in setups[0].energy["network"]))
    possible = [
        Reference(network, level)
        for network in order
        for level in LEVELS
        if Reference(network, level) in shared
    ]
    network, _, level = (wanted or "").partition(":")
    for reference in possible:
        if network in ("", reference.network) and level in ("", reference.level):
            return reference
    raise ConfigError(
        f"reference: {wanted!r} is no network (or network:level) that every set-up has with a "
        f"positive slope; there are {', '.join(map(str, possible)) or 'none'}."
    )


def normalise(setups: Iterable[SetUp], reference: Reference) -> dict[Key, dict[str, Normalised]]:
    """Slopes over the reference's, by what they are of and by set-up."""
    found: dict[Key, dict[str, Normalised]] = {}
    for setup in setups:
        for key, slope in setup.slopes.items():
            own = setup.slopes.get(Key(key.part, *reference))
            found.setdefault(key, {})[setup.label] = _normalised(setup, slope, own)
    return found


def _normalised(setup: SetUp, slope: Slope, reference: Slope | None) -> Normalised:
    if reference is None:
        return Normalised(setup, slope, None, "the reference has no line in this part")
    logs = [
        logarithm(each.alpha, lambda name: f"{name} of {setup.label}")
        for each in (slope, reference)
    ]
    if logs[0] is None or logs[1] is None:
        return Normalised(setup, slope, None, "a slope is not positive")
    note = None if logs[0].images is not None else "too few images for an uncertainty"
    return Normalised(setup, slope, contrast(logs[0], logs[1]), note)


def slope_rows(
    normalised: Mapping[Key, Mapping[str, Normalised]], reference: Reference
) -> pd.DataFrame:
    """slopes.csv: a row a part, network, level and set-up."""
    rows = []
    for key, by_setup in normalised.items():
        for found in by_setup.values():
            budget = found.slope.alpha.budget()
            row: dict[str, Any] = {
                **head([found.setup], key),
                "estimator": found.setup.estimator,
                "n": found.slope.n,
                "images": found.slope.images,
                "alpha_j_per_pixel": found.slope.alpha.value,
                "alpha_u_j_per_pixel": budget.combined_standard_uncertainty if budget else None,
                "calibrated": found.setup.calibrated,
                "reference": str(reference),
                "note": found.note,
            }
            if key[1:] == tuple(reference):
                row |= {"ratio": 1.0, "ratio_u": 0.0, "ratio_low": 1.0, "ratio_high": 1.0}
            elif found.log_ratio is not None:
                row |= ratio_columns(found.log_ratio.value, found.log_ratio.budget())
            rows.append(row)
    return tables.frame(rows, tables.NORMALISED_SLOPE_COLUMNS)


# What is portable


@dataclass(frozen=True)
class Pair:
    """Two set-ups compared: the difference of their logarithmic ratios."""

    labels: tuple[str, str]
    difference: float
    budget: Budget | None

    @property
    def p(self) -> float:
        """Two-sided p-value of no difference; 1 where nothing is known of its uncertainty."""
        return p_value(self.difference, self.budget)

    @property
    def most(self) -> float:
        """The largest difference that the interval at `LEVEL` holds; NaN where there is none."""
        half = half_width(self.budget)
        return math.nan if half is None else abs(self.difference) + half


def pairs_of(found: Sequence[Normalised]) -> list[Pair]:
    """All pairs of set-ups that have a ratio."""
    known = [(each.setup.label, each.log_ratio) for each in found if each.log_ratio is not None]
    return [
        Pair((one[0], two[0]), one[1].value - two[1].value, difference(one[1], two[1]))
        for one, two in combinations(known, 2)
    ]


def portability(
    normalised: Mapping[Key, Mapping[str, Normalised]],
    reference: Reference,
    tolerance_percent: float = TOLERANCE_PERCENT,
) -> pd.DataFrame:
    """portability.csv: a row a kind of source, part, network and level of two or more set-ups.

    `p_value` is adjusted for all pairs of the table (Holm), `differing` holds the pairs that are
    told apart. `verdict` is `agrees` where the intervals of all differences lie within the
    tolerance, told apart or not; else `differs` where two set-ups are told apart, and `undecided`
    where none are.
    """
    compared = []
    for key, by_setup in normalised.items():
        if key[1:] == tuple(reference):
            continue
        for kind in dict.fromkeys(KINDS.values()):
            own = [
                each
                for each in by_setup.values()
                if each.setup.kind == kind and each.log_ratio is not None
            ]
            if len(own) > 1:
                compared.append((key, own, pairs_of(own)))
    adjusted = iter(holm_adjusted([pair.p for _, _, pairs in compared for pair in pairs]))
    rows = []
    for key, own, pairs in compared:
        p_values = [next(adjusted) for _ in pairs]
        rows.append(
            {
                **head([each.setup for each in own], key),
                "reference": str(reference),
                "setups": len(own),
                "ratio": math.exp(np.mean([q.value for e in own if (q := e.log_ratio)])),
                **_verdict(pairs, p_values, tolerance_percent),
                **heterogeneity(pairs),
            }
        )
    return tables.frame(rows, tables.PORTABILITY_COLUMNS)


def holm_adjusted(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for all of them together by Holm's step-down, in the order given."""
    adjusted, largest, count = [0.0] * len(p_values), 0.0, len(p_values)
    for done, number in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (count - done) * p_values[number]))
        adjusted[number] = largest
    return adjusted


def _verdict(
    pairs: Sequence[Pair], p_values: Sequence[float], tolerance_percent: float
) -> dict[str, Any]:
    differing = [
        "–".join(pair.labels) for pair, p in zip(pairs, p_values, strict=True) if p <= 1 - LEVEL
    ]
    most = percent_above(max((pair.most for pair in pairs), key=_nan_first))
    beyond = DIFFERS if differing else UNDECIDED
    return {
        "p_value": min(p_values),
        "verdict": AGREES if most <= tolerance_percent else beyond,
        "differing": ";".join(differing),
        "spread_percent": percent_above(max(abs(pair.difference) for pair in pairs)),
        "spread_most_percent": None if math.isnan(most) else most,
        "tolerance_percent": tolerance_percent,
    }


def _nan_first(value: float) -> float:
    return math.inf if math.isnan(value) else value


def heterogeneity(pairs: Sequence[Pair]) -> dict[str, Any]:
    """How far set-ups differ beyond their uncertainties.

    The variance between them is half the mean squared difference of the pairs, what uncertainty
    alone would make of it half the mean squared uncertainty of the differences. `tau_percent` is
    the root of the rest (Cochran's moment estimator, for quantities that may be correlated),
    `i_squared_percent` the share of the rest. `tau_most_percent` is an upper limit at 95 %, as if
    the logarithms of the ratios were normal: from few set-ups it is large. Empty where an
    uncertainty is not known.
    """
    if not pairs or any(pair.budget is None for pair in pairs):
        return {}
    uncertainties = [p.budget.combined_standard_uncertainty for p in pairs if p.budget]
    between = float(np.mean([pair.difference**2 for pair in pairs])) / 2
    within = float(np.mean(np.square(uncertainties))) / 2
    free = len({label for pair in pairs for label in pair.labels}) - 1
    rest = max(0.0, between - within)
    most = max(0.0, free * between / float(special.chdtri(free, LEVEL)) - within)
    return {
        "tau_percent": percent_above(math.sqrt(rest)),
        "tau_most_percent": percent_above(math.sqrt(most)),
        "i_squared_percent": 100 * rest / between if between else 0.0,
    }
