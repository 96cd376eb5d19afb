"""Relative residuals of the lines over pixels, a panel a network and level."""

from collections.abc import Iterable, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nic_energy.figures.style import (
    BLACK,
    COLUMN_IN,
    LEVEL_COLOURS,
    LEVEL_MARKERS,
    ORANGE,
    RULES,
    note_source,
)
from nic_energy.vocabulary import LEVELS

ROW_IN, FRAME_IN = 0.95, 1.15
"""Height of a row of panels and of what surrounds them, in inch."""


def plot(residuals: pd.DataFrame, sources: Iterable[str]) -> Figure:
    """Points a modality; a bar at the mean of every padded size; influential images ringed.

    Panels of a network share their height. Equal signs of the bars on all panels point to what a
    size does to the device, bars that bend to a line that is none.

    Args:
        residuals: residuals.csv.
        sources: `source` of the energies, which are there even where no line is.
    """
    names = list(dict.fromkeys(residuals["abbreviation"]))
    levels = [level for level in LEVELS if level in set(residuals["level"])]
    with mpl.rc_context(RULES):
        rows, columns = max(len(names), 1), max(len(levels), 1)
        figure = Figure(figsize=(COLUMN_IN, FRAME_IN + ROW_IN * rows), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(rows, columns, sharex=True, sharey="row", squeeze=False)
        if not names:
            panels[0, 0].text(0.5, 0.5, "no line was fitted", ha="center", color="0.4",
                              transform=panels[0, 0].transAxes)  # fmt: skip
        for row, name in enumerate(names):
            for column, level in enumerate(levels):
                chosen = (residuals["abbreviation"] == name) & (residuals["level"] == level)
                _panel(panels[row, column], residuals[chosen], f"{name}, {level}", level)
        figure.supylabel("Residual (% of the energy)", fontsize=8)
        panels[-1, 0].set_xlim(left=0)
        for axes in panels[-1]:
            axes.set_xlabel("Pixels (Mpx)")
        _legend(figure, levels, bool(residuals["influential"].any()))
        note_source(figure, sources)
    return figure


def _panel(axes: Axes, points: pd.DataFrame, title: str, level: str) -> None:
    axes.axhline(0, color="0.6", linewidth=0.6)
    axes.set_title(title, loc="left", fontsize=7, pad=2)
    if points.empty:
        axes.text(0.5, 0.6, "no line", transform=axes.transAxes, ha="center", color="0.4",
                  fontsize=6)  # fmt: skip
        return
    pixels, percent = points["pixels"] / 1e6, points["relative_residual_percent"]
    axes.plot(
        pixels, percent, LEVEL_MARKERS[level], color=LEVEL_COLOURS[level], markersize=2.5,
        markerfacecolor="none", markeredgewidth=0.5, alpha=0.7,
    )  # fmt: skip
    means = points.groupby("padded_size")[["pixels", "relative_residual_percent"]].mean()
    axes.plot(means["pixels"] / 1e6, means["relative_residual_percent"], "_", color=BLACK,
              markersize=7, markeredgewidth=1.2)  # fmt: skip
    for image, rows in points[points["influential"]].groupby("image"):
        x, y = rows["pixels"].iloc[0] / 1e6, float(rows["relative_residual_percent"].mean())
        if np.isnan(y):
            continue
        axes.plot(x, y, "o", color=ORANGE, markerfacecolor="none", markersize=9)
        right = x > np.mean(axes.get_xlim())
        axes.annotate(
            str(image), (x, y), (-6 if right else 6, 0), textcoords="offset points", fontsize=5.5,
            ha="right" if right else "left", va="center", color=BLACK,
        )  # fmt: skip


def _legend(figure: Figure, levels: Sequence[str], influential: bool) -> None:
    handles = [
        Line2D([], [], color=LEVEL_COLOURS[level], marker=LEVEL_MARKERS[level], linestyle="none",
               markersize=4, markerfacecolor="none", label=f"{level} level")
        for level in levels
    ]  # fmt: skip
    handles.append(Line2D([], [], color=BLACK, marker="_", linestyle="none", markersize=8,
                          label="mean of a padded size"))  # fmt: skip
    if influential:
        handles.append(Line2D([], [], color=ORANGE, marker="o", linestyle="none", markersize=7,
                              markerfacecolor="none", label="influential image"))  # fmt: skip
    figure.legend(handles=handles, frameon=False, loc="outside upper left", ncols=2,
                  handlelength=1.2)  # fmt: skip
