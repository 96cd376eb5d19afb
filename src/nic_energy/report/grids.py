"""Tables ready for the page's template."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from nic_energy.typeset import PrintTable
from nic_energy.typeset.cells import NOTHING

Grid = dict[str, Any]

View = Sequence[tuple[str, str, str | None, float]]
"""Title, column, format and factor of each column to show; the format None is text, "" a number
that is text already.
"""


MODEL_VIEW: View = (
    ("network", "network", None, 1),
    ("level", "level", None, 1),
    ("n", "n", ".0f", 1),
    ("α ± U (J/Mpx)", "alpha", "", 1),
    ("β ± U (J)", "beta", "", 1),
    ("mostly", "alpha_dominating", None, 1),
    ("mean rel. error (%)", "mean_relative_error_percent", ".2f", 1),
    ("r", "pearson_r", ".4f", 1),
)
SLOPE_VIEW: View = (
    ("predictor", "predictor", None, 1),
    ("n", "n", ".0f", 1),
    ("slope", "slope", ".4g", 1),
    ("u", "slope_u", ".2g", 1),
    ("intercept (J/px)", "intercept", ".4g", 1),
    ("u (J/px)", "intercept_u", ".2g", 1),
    ("mean rel. error (%)", "mean_relative_error_percent", ".2f", 1),
    ("r", "pearson_r", ".4f", 1),
)
SUMMARY_VIEW: View = (
    ("network", "network", None, 1),
    ("level", "level", None, 1),
    ("modalities", "modalities", ".0f", 1),
    ("least (J)", "least_j", ".3g", 1),
    ("median (J)", "median_j", ".3g", 1),
    ("most (J)", "most_j", ".3g", 1),
    ("median ± (%)", "half_width", ".2g", 1),
    ("median time (s)", "duration_s", ".3g", 1),
)
RANKING_VIEW: View = (
    ("by", "by", None, 1),
    ("level", "level", None, 1),
    ("rank", "ranks", "", 1),
    ("network", "network", None, 1),
    ("value", "value", ".4g", 1),
    ("u", "u", ".2g", 1),
    ("tied with", "tied_with", None, 1),
)
IDLE_VIEW: View = (
    ("idle", "kind", None, 1),
    ("when", "when", None, 1),
    ("recorded", "recorded", ".0f", 1),
    ("median (W)", "median_w", ".2f", 1),
    ("u (W)", "u_w", ".2g", 1),
    ("change over the campaign (W)", "change", "", 1),
    ("energies with it (%)", "effect_percent", "+.1f", 1),
)
MISSING_VIEW: View = (
    ("network", "network", None, 1),
    ("quality", "quality", ".0f", 1),
    ("image", "image", None, 1),
    ("failed attempts", "failed_attempts", ".0f", 1),
    ("last error", "last_error", None, 1),
)
FLAG_VIEW: View = (
    ("flag", "flag", None, 1),
    ("rows", "rows", ".0f", 1),
    ("meaning", "meaning", None, 1),
)


def grid(table: pd.DataFrame, view: View) -> Grid:
    """A table ready for the template, with the network of each row where rows have one."""
    return {
        "head": [{"title": title, "text": form is None} for title, _, form, _ in view],
        "rows": [
            [_cell(row[column], form, factor) for _, column, form, factor in view]
            for row in table.to_dict("records")
        ],
        "networks": list(map(str, table["network"])) if "network" in table else [],
    }


def _cell(value: Any, form: str | None, factor: float) -> str:
    if pd.isna(value) or value == "":
        return NOTHING
    return format(float(value) * factor, form) if form else str(value)


def printed_grid(table: PrintTable) -> Grid:
    """A table of the paper ready for the template, with its caption and notes."""
    return {
        "caption": table.caption,
        "spans": [{"title": title, "columns": columns} for title, columns in table.spans],
        "head": [
            {"title": title, "text": number < table.text_columns}
            for number, title in enumerate(table.head)
        ],
        "rows": table.rows,
        "notes": table.notes,
    }
