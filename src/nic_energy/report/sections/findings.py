"""What came out, in sentences with their numbers."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from nic_energy.report.blocks import Block, Sentences
from nic_energy.report.context import Context
from nic_energy.report.ranks import ranking_sentences
from nic_energy.report.sections import Section
from nic_energy.typeset.cells import plus_minus
from nic_energy.vocabulary import LEVELS, PREDICTOR_WORDS


def body(context: Context) -> list[Block]:
    """The main findings; each says what it was found with."""
    results = context.results
    found = [
        *slope_sentences(results.models),
        *error_sentences(results.models),
        *complexity_sentences(results.slopes),
        *ranking_sentences(results.ranking),
    ]
    return [Sentences(found)] if found else []


def slope_sentences(models: pd.DataFrame) -> list[str]:
    """The networks with the least and the most energy per pixel, a sentence a level."""
    found = []
    for level in LEVELS:
        rows = models[(models["level"] == level) & models["alpha_j_per_pixel"].notna()]
        if len(rows) < 2:
            continue
        ordered = rows.sort_values("alpha_j_per_pixel").to_dict("records")
        least, most = (f"{row['network']} ({_slope(row)})" for row in (ordered[0], ordered[-1]))
        found.append(
            f"A further megapixel takes least energy with {least} and most with {most}, "
            f"{level} quality levels; ± is the expanded uncertainty (95 %)."
        )
    return found


def _slope(row: Mapping[Any, Any]) -> str:
    expanded = row["alpha_expanded_j_per_pixel"]
    half = None if pd.isna(expanded) else expanded * 1e6
    return f"{plus_minus(row['alpha_j_per_pixel'] * 1e6, half)} J/Mpx"


def error_sentences(models: pd.DataFrame) -> list[str]:
    """How well a line over pixels describes the energy."""
    errors = models["mean_relative_error_percent"].dropna()
    if errors.empty:
        return []
    lines = "1 line" if len(errors) == 1 else f"{len(errors)} lines"
    return [
        f"A line over the pixels, E = α·S + β, predicts the energy of images that were left out "
        f"with a mean relative error of {errors.min():.2f} to {errors.max():.2f} % ({lines}, "
        f"cross-validated; least r = {models['pearson_r'].min():.4f})."
    ]


def complexity_sentences(slopes: pd.DataFrame) -> list[str]:
    """Which predictor follows the slope best, and how well."""
    known = slopes.dropna(subset=["mean_relative_error_percent"])
    if known.empty:
        return []
    best = known.sort_values("mean_relative_error_percent").iloc[0]
    word = PREDICTOR_WORDS.get(best["predictor"], best["predictor"])
    return [
        f"Of the {len(known)} predictors, {word} follow the slope α best: a line through "
        f"{int(best['n'])} slopes leaves a mean relative error of "
        f"{best['mean_relative_error_percent']:.1f} % in-sample (r = {best['pearson_r']:.3f})."
    ]


SECTION = Section(20, "findings", "Findings", body)
