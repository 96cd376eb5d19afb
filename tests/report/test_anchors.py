from typing import Any

import pandas as pd

from nic_energy import tables
from nic_energy.report.anchors import anchor_sentences

FIRST: dict[str, Any] = {
    "setup": "lab", "source": "measured", "part": "chain", "network": "mbt2018", "quality": 3,
    "level": "low", "image": "a", "session": "one", "n": 3, "hours": 2.0, "mean_j": 10.0,
    "mean_u_j": 0.02, "drift_percent_per_hour": 0.02, "drift_u_percent_per_hour": 0.05,
    "drift_p": 0.7, "spread_percent": 0.2, "expected_spread_percent": 0.25, "spread_p": 0.5,
}  # fmt: skip


def said(*rows: dict[str, Any]) -> str:
    return " ".join(anchor_sentences(tables.frame(rows, tables.ANCHOR_DRIFT_COLUMNS)))


def test_without_an_anchor_nothing_is_said() -> None:
    assert anchor_sentences(pd.DataFrame(columns=list(tables.ANCHOR_DRIFT_COLUMNS))) == []


def test_a_session_that_keeps_still_is_said_to() -> None:
    text = said(FIRST)
    assert "3 times in session one over 2 h" in text
    assert "no significant drift" in text
    assert "as their uncertainties say" in text
    assert "times what the first did" not in text


def test_drift_and_spread_beyond_the_uncertainties_are_named() -> None:
    text = said({**FIRST, "drift_p": 1e-4, "spread_p": 1e-4})
    assert "drift with time" in text
    assert "something changes from modality to modality" in text


def test_sessions_are_said_to_agree_or_not() -> None:
    once = {"n": 1, "drift_percent_per_hour": None, "drift_p": None, "spread_percent": None}
    later = {**FIRST, **once, "session": "two", "ratio": 1.001, "ratio_u": 0.004}
    assert "once is too seldom" in said(FIRST, {**later, "joined": True})
    assert "their rows are joined" in said(FIRST, {**later, "joined": True})
    assert "not to be mixed" in said(FIRST, {**later, "ratio": 1.1, "joined": False})
    vague = {"ratio": 1.02, "ratio_low": 0.97, "ratio_high": 1.07, "joined": False}
    assert "too uncertain to say that they agree" in said(FIRST, {**later, **vague})
