"""Whether set-ups rank the networks alike.

Two networks are in order on a set-up where they are told apart there, at a confidence that all
orders of a pair of set-ups hold together at 95 %. Kendall's tau-b counts pairs of networks that are
not told apart as ties (M. G. Kendall, "The treatment of ties in ranking problems", Biometrika 33,
1945). What the data leave open is the range that tau can have, whichever way the pairs that are not
told apart on both set-ups really are.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from nic_energy import tables
from nic_energy.models.ranking import QUANTITIES, ranked, ranking_table, significantly_lower
from nic_energy.models.setups import SetUp
from nic_energy.models.uncertainty import LEVEL, Quantity
from nic_energy.vocabulary import LEVELS

IntArray = npt.NDArray[np.int64]

EACH_LEVEL = (1 + LEVEL) / 2
"""Confidence of the orders on one set-up, so that those on two hold together at `LEVEL`."""


def shared_rows(setups: Sequence[SetUp]) -> dict[str, pd.DataFrame]:
    """The energies of the networks, levels and parts that all set-ups have, by set-up."""
    keys = ["part", "network", "level"]
    shared = set.intersection(
        *({tuple(row) for row in setup.rows[keys].to_numpy()} for setup in setups)
    )
    return {
        setup.label: setup.rows[[tuple(row) in shared for row in setup.rows[keys].to_numpy()]]
        for setup in setups
    }


@dataclass(frozen=True)
class Group:
    """What can be ranked: a quantity of the networks of a part and level, on every set-up.

    `by_setup` holds the quantities by set-up and network, None where a set-up has none.
    """

    part: str
    level: str
    quantity: str
    by_setup: Mapping[str, Mapping[str, Quantity | None]]


def groups(setups: Sequence[SetUp]) -> list[Group]:
    """Everything that can be ranked on all set-ups.

    Slopes over the images of each set-up; mean energies over the images that all have, if any.
    """
    rows = shared_rows(setups)
    parts = dict.fromkeys(str(part) for part in rows[setups[0].label]["part"])
    found = []
    for part in parts:
        for level in LEVELS:
            own = {
                label: table[(table["part"] == part) & (table["level"] == level)]
                for label, table in rows.items()
            }
            images = set.intersection(*(set(table["image"]) for table in own.values()))
            same = {label: table[table["image"].isin(images)] for label, table in own.items()}
            for name, quantities_of in QUANTITIES.items():
                chosen = same if name == "mean_energy_j" else own
                if not any(table.empty for table in chosen.values()):
                    by_setup = {label: quantities_of(table) for label, table in chosen.items()}
                    found.append(Group(part, level, name, by_setup))
    return found


def rankings(setups: Sequence[SetUp]) -> pd.DataFrame:
    """ranking.csv of a comparison: the ranking of each set-up, of the networks that all have."""
    rows: list[dict[str, Any]] = []
    for group in groups(setups):
        for setup in setups:
            quantities = group.by_setup[setup.label]
            head = {
                "setup": setup.label,
                "source": setup.source,
                "part": group.part,
                "estimator": setup.estimator,
                "quantity": group.quantity,
                "level": group.level,
            }
            short = {network: setup.short(network) for network in quantities}
            rows += [{**head, **row} for row in ranked(quantities, short)]
    return ranking_table(rows)


def agreement(setups: Sequence[SetUp]) -> pd.DataFrame:
    """agreement.csv: a row a part, level, quantity and pair of set-ups of one kind."""
    rows = [
        {
            "setup": f"{one.label};{two.label}",
            "source": ";".join(sorted({one.source, two.source})),
            "part": group.part,
            "quantity": group.quantity,
            "level": group.level,
            **_compared(group, one, two),
        }
        for group in groups(setups)
        for one, two in combinations(setups, 2)
        if one.kind == two.kind
    ]
    return tables.frame(rows, tables.AGREEMENT_COLUMNS)


def _compared(group: Group, one: SetUp, two: SetUp) -> dict[str, Any]:
    first, second = (
        {name: q for name, q in group.by_setup[setup.label].items() if q is not None}
        for setup in (one, two)
    )
    networks = [network for network in first if network in second]
    return {
        "networks": len(networks),
        **compare_orders(
            [first[network] for network in networks],
            [second[network] for network in networks],
            [one.short(network) for network in networks],
        ),
    }


def orders(quantities: Sequence[Quantity], confidence: float) -> IntArray:
    """-1 where the row's quantity is significantly below the column's, 1 where it is above, 0
    where they are not told apart; shape (n, n).
    """
    lower = significantly_lower(quantities, confidence).astype(np.int64)
    return np.asarray(lower.T - lower)


def compare_orders(
    one: Sequence[Quantity], two: Sequence[Quantity], names: Sequence[str]
) -> dict[str, Any]:
    """Kendall's tau between two set-ups, and what is not known of it; `reversed` names the pairs
    of networks as they are on the first set-up.

    Args:
        one, two: quantities of the same networks, in the same order. names: of the networks.
    """
    count = len(names)
    above = np.triu_indices(count, 1)
    total = len(above[0])
    row: dict[str, Any] = {"pairs": total}
    if total == 0:
        return row
    first, second = (orders(each, EACH_LEVEL)[above] for each in (one, two))
    signs = first * second
    concordant, discordant = int((signs > 0).sum()), int((signs < 0).sum())
    undecided = total - concordant - discordant
    ordered = math.sqrt(float(np.sum(first**2) * np.sum(second**2)))
    values = [np.array([quantity.value for quantity in each]) for each in (one, two)]
    plain = [np.sign(np.subtract.outer(each, each))[above] for each in values]
    return row | {
        "concordant": concordant,
        "discordant": discordant,
        "undecided": undecided,
        "tau": float(np.mean(plain[0] * plain[1])),
        "tau_b": (concordant - discordant) / ordered if ordered else None,
        "tau_low": (concordant - discordant - undecided) / total,
        "tau_high": (concordant - discordant + undecided) / total,
        "reversed": ";".join(
            f"{names[i]}<{names[j]}" if order < 0 else f"{names[j]}<{names[i]}"
            for i, j, order, sign in zip(
                *(side.tolist() for side in above), first, signs, strict=True
            )
            if sign < 0
        ),
    }
