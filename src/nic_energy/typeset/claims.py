"""Sentences that examine the paper's claim: MAC operations correlate most with energy."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from nic_energy.models.predictor_correlations import REFERENCE
from nic_energy.typeset.cells import number
from nic_energy.vocabulary import PREDICTOR_WORDS

Row = Mapping[Any, Any]


def claim_sentences(predictors: pd.DataFrame) -> list[str]:
    """What the rows of predictor_correlations.csv of one set-up and part say of the claim."""
    ranked: list[Row] = list(predictors.dropna(subset=["rank"]).to_dict("records"))
    reference = next((row for row in ranked if row["predictor"] == REFERENCE), None)
    if reference is None:
        return ["Too few slopes, or slopes that do not differ: nothing can be compared with them."]
    others = [row for row in ranked if row is not reference]
    sentences = [_place(reference, len(ranked))]
    above = [row for row in others if row["rank"] < reference["rank"]]
    if above:
        sentences.append(f"Closer on these networks: {_listed(above)}.")
    if not _known(reference, "pearson_r_low"):
        return [*sentences, _too_few(reference)]
    apart = [row for row in others if row["difference_r_low"] > 0]
    better = [row for row in others if row["difference_r_high"] < 0]
    open_ = [row for row in others if row not in apart and row not in better]
    for rows, words in (
        (apart, "Further from α than MACs (95 % of resampled networks)"),
        (better, "Closer to α than MACs (95 % of resampled networks)"),
        (open_, "Not told apart from MACs"),
    ):
        if rows:
            sentences.append(f"{words}: {_listed(rows)}.")
    return [*sentences, _limits(reference, others)]


def _known(row: Row, name: str) -> bool:
    return bool(pd.notna(row[name]))


def _place(reference: Row, count: int) -> str:
    place = f"{reference['rank']:.0f}"
    if _known(reference, "rank_best"):
        place += f" (95 %: {reference['rank_best']:.0f} to {reference['rank_worst']:.0f})"
    return (
        f"By |r| with α, MACs per pixel take rank {place} among {count} parameters "
        f"(r = {number(reference['pearson_r'], '.3f')})."
    )


def _listed(rows: list[Row]) -> str:
    return ", ".join(
        f"{PREDICTOR_WORDS[row['predictor']]} ({number(row['pearson_r'], '.3f')})" for row in rows
    )


def _too_few(reference: Row) -> str:
    return (
        f"{reference['networks']:.0f} networks are too few for intervals: the order is that of "
        "these networks and says nothing of others."
    )


def _limits(reference: Row, others: list[Row]) -> str:
    least = [row["sign_flip_p_least"] for row in others if _known(row, "sign_flip_p_least")]
    text = (
        f"{reference['n']:.0f} points of {reference['networks']:.0f} networks, whose levels share "
        "an architecture: a description, no proof"
    )
    if least:
        text += f"; with so few networks no p-value can be below {min(least):.2g}"
    return text + "."
