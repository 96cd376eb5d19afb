"""The ranking of the networks, as sentences and as a table."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from nic_energy.vocabulary import LEVELS

QUANTITIES = {
    "alpha_j_per_pixel": ("slope α", "α (J/Mpx)", 1e6),
    "mean_energy_j": ("mean energy", "mean energy (J)", 1.0),
}
"""In a sentence, in the table, and the factor on the value there."""

Row = Mapping[Any, Any]


def ranking_sentences(ranking: pd.DataFrame) -> list[str]:
    """A sentence per quantity and level, the least energy first."""
    sentences = []
    for name, (words, _, _) in QUANTITIES.items():
        for level in LEVELS:
            chosen = (ranking["quantity"] == name) & (ranking["level"] == level)
            rows = ranking[chosen].to_dict("records")
            if rows:
                sentences.append(f"By {words}, {level} quality levels: {in_words(rows)}.")
    return sentences


def ranking_table(ranking: pd.DataFrame) -> pd.DataFrame:
    """Values, ranks and ties, by quantity and level as the sentences."""
    table = ranking[ranking["quantity"].isin(QUANTITIES)].copy()
    table["by"] = [QUANTITIES[name][1] for name in table["quantity"]]
    factors = [QUANTITIES[name][2] for name in table["quantity"]]
    for column in ("value", "u"):
        table[column] = pd.to_numeric(table[column]) * factors
    table["ranks"] = [
        "" if pd.isna(best) else _ranks(int(best), int(worst))
        for best, worst in zip(table["rank_best"], table["rank_worst"], strict=True)
    ]
    table["tied_with"] = [", ".join(_ties(row)) for row in table.to_dict("records")]
    places = [
        (list(QUANTITIES).index(name), LEVELS.index(level))
        for name, level in zip(table["quantity"], table["level"], strict=True)
    ]
    return table.iloc[sorted(range(len(table)), key=places.__getitem__)]


def in_words(rows: Sequence[Row]) -> str:
    """The order that one ranking leaves, e.g. `Bfac, Bhyp tie on ranks 1–2; Mcont on rank 3`.

    Being tied is not transitive: where neighbours overlap without all of them being tied, the
    ties are named one by one.
    """
    ranked = [row for row in rows if pd.notna(row["rank_best"])]
    parts = [_group_in_words(group) for group in _groups(ranked)]
    unranked = [str(row["abbreviation"]) for row in rows if pd.isna(row["rank_best"])]
    if unranked:
        parts.append(f"{', '.join(unranked)} not ranked (no line, or no image in common)")
    return "; ".join(parts)


def _group_in_words(group: Sequence[Row]) -> str:
    names = [str(row["abbreviation"]) for row in group]
    on = _ranks(
        min(int(row["rank_best"]) for row in group), max(int(row["rank_worst"]) for row in group)
    )
    if len(group) == 1:
        return f"{names[0]} on rank {on}"
    cliques = _cliques(group)
    if len(cliques) == 1:
        return f"{', '.join(names)} tie on ranks {on}"
    ties = ", ".join("–".join(clique) for clique in cliques)
    return f"{', '.join(names)} overlap on ranks {on} (tied: {ties})"


def _ranks(best: int, worst: int) -> str:
    return str(best) if best == worst else f"{best}–{worst}"


def _ties(row: Row) -> list[str]:
    return [] if pd.isna(row["tied_with"]) else [n for n in str(row["tied_with"]).split(";") if n]


def _groups(rows: Sequence[Row]) -> list[list[Row]]:
    """Networks that ties connect, directly or through others, in the order of `rows`."""
    groups: list[list[Row]] = []
    for row in rows:
        ties = set(_ties(row))
        touched = [g for g in groups if any(member["abbreviation"] in ties for member in g)]
        merged = [member for g in touched for member in g]
        place = groups.index(touched[0]) if touched else len(groups)
        groups = [g for g in groups if g not in touched]
        groups.insert(place, [*merged, row])
    order = {id(row): place for place, row in enumerate(rows)}
    return [sorted(group, key=lambda row: order[id(row)]) for group in groups]


def _cliques(group: Sequence[Row]) -> list[list[str]]:
    """The largest sets of networks all of which are tied, in the order of `group`."""
    names = [str(row["abbreviation"]) for row in group]
    ties = {str(row["abbreviation"]): set(_ties(row)) for row in group}
    found: list[set[str]] = []

    def grow(clique: set[str], candidates: set[str], done: set[str]) -> None:
        # Bron and Kerbosch.
        if not candidates and not done:
            found.append(clique)
        for name in sorted(candidates):
            grow(clique | {name}, candidates & ties[name], done & ties[name])
            candidates, done = candidates - {name}, done | {name}

    grow(set(), set(names), set())
    ordered = [sorted(clique, key=names.index) for clique in found]
    return sorted(ordered, key=lambda clique: [names.index(name) for name in clique])
