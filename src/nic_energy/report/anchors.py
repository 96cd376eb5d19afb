"""What the repeated anchor shows, in sentences."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from nic_energy.typeset.cells import plus_minus

Row = Mapping[Any, Any]

SIGNIFICANCE = 0.01


def anchor_sentences(drift: pd.DataFrame) -> list[str]:
    """Drift in each session, spread of the repeats, and which sessions were joined.

    Args:
        drift: anchor_drift.csv; without rows nothing is said.
    """
    if drift.empty:
        return []
    return [
        sentence
        for row in drift.to_dict("records")
        for sentence in (_drift(row), _spread(row), _joined(row))
        if sentence
    ]


def _what(row: Row) -> str:
    return f"{row['network']}, quality {row['quality']}, {row['image']}"


def _drift(row: Row) -> str:
    head = f"The anchor ({_what(row)}) was measured {_times(row)} in session {row['session']}"
    value, u, p_value = (
        row[name] for name in ("drift_percent_per_hour", "drift_u_percent_per_hour", "drift_p")
    )
    if not _known(value):
        return f"{head}: once is too seldom to see a drift."
    verdict = (
        "the energies of this session drift with time, by so much that they do not all mean the "
        "same"
        if p_value < SIGNIFICANCE
        else "no significant drift"
    )
    found = f"over {row['hours']:.3g} h, {plus_minus(value, u)} % an hour"
    return f"{head} {found} (p = {p_value:.2g}): {verdict}."


def _times(row: Row) -> str:
    count = int(row["n"])
    return "once" if count == 1 else f"{count} times"


def _spread(row: Row) -> str | None:
    spread, expected, p_value = (
        row[name] for name in ("spread_percent", "expected_spread_percent", "spread_p")
    )
    if not _known(spread):
        return None
    verdict = (
        "more than the windows of each explain: something changes from modality to modality that "
        "no budget holds"
        if p_value < SIGNIFICANCE
        else "as their uncertainties say"
    )
    return (
        f"Its repeats differ by {spread:.2g} % (standard deviation; {expected:.2g} % by their own "
        f"uncertainties, p = {p_value:.2g}): {verdict}."
    )


def _joined(row: Row) -> str | None:
    if not _known(row["ratio"]):
        return None
    found = f"{plus_minus(row['ratio'], row['ratio_u'])}"
    head = f"Session {row['session']} measures {found} times what the first did (standard "
    if row["joined"] is True:
        return f"{head}uncertainty): they agree, and their rows are joined."
    if _known(row["ratio_low"]) and row["ratio_low"] <= 1 <= row["ratio_high"]:
        return f"{head}uncertainty): too uncertain to say that they agree, so they are not joined."
    return f"{head}uncertainty): they do not agree, and their rows are not to be mixed."


def _known(value: Any) -> bool:
    return bool(pd.notna(value))
