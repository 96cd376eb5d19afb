"""Correlation of the slope alpha with every network parameter, the closest first."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nic_energy.figures.style import (
    BLUE,
    PRINTED_COLOUR,
    PRINTED_LABEL,
    RED,
    RULES,
    blank,
    note_source,
)
from nic_energy.models.predictor_correlations import REFERENCE
from nic_energy.models.uncertainty import numbers
from nic_energy.vocabulary import PREDICTOR_WORDS

WIDTH_IN = 5.0
ROW_IN = 0.19
FRAME_IN = 1.0


def plot(predictors: pd.DataFrame, printed: pd.DataFrame | None = None) -> Figure:
    """One line a parameter: r with its 95 % interval over resampled networks, and on the right the
    mean relative error for a network that the line was not fitted to.

    What a thick bar spans are the correlations without one network each; `MACs` is red. Open
    circles in grey are the same correlations of the alpha that the paper prints.

    Args:
        predictors: predictor_correlations.csv. printed: the same of the paper's Table 2.
    """
    rows = predictors.dropna(subset=["rank"]).iloc[::-1].reset_index(drop=True)
    with mpl.rc_context(RULES):
        figure = blank(FRAME_IN + ROW_IN * max(len(rows), 3), WIDTH_IN)
        axes, errors = figure.subplots(1, 2, sharey=True, width_ratios=(1.7, 1.0))
        _draw(axes, rows)
        _draw_errors(errors, rows)
        shown = _draw_printed(axes, rows, printed)
        axes.set_yticks(range(len(rows)), [_label(row) for row in rows.to_dict("records")])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.set_xlim(right=1.02)
        axes.axvline(0, color="0.6", linewidth=0.6, zorder=0)
        axes.set_xlabel("r of slope α and parameter")
        for each in (axes, errors):
            each.grid(axis="x", color="0.9", linewidth=0.5)
            each.set_axisbelow(True)
        if rows.empty:
            axes.text(0.5, 0.5, "nothing to correlate", transform=axes.transAxes, ha="center",
                      color="0.4")  # fmt: skip
        note_source(figure, predictors["source"], *_notes(predictors, rows), shown)
    return figure


def _label(row: dict[object, object]) -> str:
    star = " *" if row["planned"] else ""
    return PREDICTOR_WORDS[str(row["predictor"])] + star


def _draw(axes: Axes, rows: pd.DataFrame) -> None:
    r = numbers(rows, "pearson_r")
    for place, value in enumerate(r):
        colour = RED if rows["predictor"][place] == REFERENCE else BLUE
        for name, width, shade in (("pearson_r", 0.9, 1.0), ("pearson_r_without_one", 3.5, 0.35)):
            low, high = (float(numbers(rows, f"{name}_{end}")[place]) for end in ("low", "high"))
            if np.isfinite(low) and np.isfinite(high):
                axes.plot([low, high], [place, place], color=colour,
                          linewidth=width, alpha=shade, solid_capstyle="butt")  # fmt: skip
        axes.plot(value, place, "o", color=colour, markersize=4)


def _draw_errors(axes: Axes, rows: pd.DataFrame) -> None:
    """The error of each network by the line of the others, in percent."""
    errors = numbers(rows, "left_out_error_percent")
    colours = [RED if name == REFERENCE else BLUE for name in rows["predictor"]]
    axes.scatter(errors, range(len(rows)), c=colours, s=16)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("left-out error (%)")
    if np.isfinite(errors).any():
        axes.set_xlim(0, 1.08 * float(np.nanmax(errors)))
    else:
        axes.set_xticks([])
        axes.text(0.5, 0.5, "too few networks", transform=axes.transAxes, ha="center",
                  color="0.4")  # fmt: skip


def _draw_printed(axes: Axes, rows: pd.DataFrame, printed: pd.DataFrame | None) -> str:
    if printed is None or rows.empty:
        return ""
    theirs = dict(zip(printed["predictor"], numbers(printed, "pearson_r"), strict=True))
    r = np.array([theirs.get(name, np.nan) for name in rows["predictor"]], dtype=float)
    if not np.isfinite(r).any():
        return ""
    axes.plot(r, range(len(rows)), "o", color=PRINTED_COLOUR, markerfacecolor="none",
              markersize=6.5, markeredgewidth=0.8, zorder=1)  # fmt: skip
    return f"grey: with the α {PRINTED_LABEL}"


def _notes(predictors: pd.DataFrame, rows: pd.DataFrame) -> list[str]:
    notes = []
    if len(rows):
        first = rows.iloc[0]
        notes.append(f"{first['n']:.0f} points of {first['networks']:.0f} networks: descriptive")
    if np.isfinite(numbers(rows, "pearson_r_low")).any():
        notes.append("lines: 95 %, networks resampled")
    if np.isfinite(numbers(rows, "pearson_r_without_one_low")).any():
        notes.append("bars: without one network each")
    if predictors["planned"].any():
        notes.append("*: comparison fixed beforehand")
    return notes
