"""Slope alpha over MAC operations, as in the paper's Fig. 3."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nic_energy.figures.style import LEVEL_MARKERS, RULES, SERIES, canvas, note_source
from nic_energy.models.uncertainty import numbers

PREDICTOR = "kmac_per_pixel"
MOST_BAR = 1.5
"""The axes reach at most to this multiple of the largest slope; a long bar may leave them."""


def plot(models: pd.DataFrame, slopes: pd.DataFrame, complexity: pd.DataFrame) -> Figure:
    """One point a network and level with its 95 % interval: x low, o high, a colour a network, the
    fit dashed.

    Args:
        models: energy_models.csv. slopes: complexity_models.csv. complexity: complexity.csv.
    """
    counts = complexity.drop_duplicates(["network", "level"])[["network", "level", PREDICTOR]]
    points = models.merge(counts, on=["network", "level"]).dropna(subset=["alpha_j_per_pixel"])
    colours = dict(zip(dict.fromkeys(points["abbreviation"]), SERIES, strict=False))
    with mpl.rc_context(RULES):
        figure, axes = canvas(2.8)
        half_widths = numbers(points, "alpha_expanded_j_per_pixel")
        for row, half in zip(points.to_dict("records"), half_widths, strict=True):
            colour, alpha = colours[row["abbreviation"]], row["alpha_j_per_pixel"] * 1e6
            axes.plot(
                row[PREDICTOR],
                alpha,
                LEVEL_MARKERS[row["level"]],
                color=colour,
                markerfacecolor="none",
                markersize=6,
                markeredgewidth=1.2,
            )
            if np.isfinite(half):
                axes.errorbar(
                    row[PREDICTOR], alpha, half * 1e6, fmt="none", ecolor=colour, elinewidth=0.8
                )
        if points.empty:
            axes.text(0.5, 0.5, "no slope was fitted", transform=axes.transAxes, ha="center",
                      color="0.4")  # fmt: skip
        text = _draw_fit(axes, points, slopes)
        axes.set_xlim(left=0)
        slopes_shown = points["alpha_j_per_pixel"] * 1e6
        axes.set_ylim(bottom=min(0.0, 1.1 * slopes_shown.min()))
        if slopes_shown.max() > 0:
            axes.set_ylim(top=min(axes.get_ylim()[1], MOST_BAR * slopes_shown.max()))
        axes.set_xlabel("Complexity (kMAC per pixel)")
        axes.set_ylabel("Slope α (J per Mpx)")
        handles = [
            Line2D([], [], color=colour, marker="s", linestyle="none", markersize=5, label=name)
            for name, colour in colours.items()
        ]
        handles += [
            Line2D([], [], color="0.3", marker=marker, linestyle="none", markerfacecolor="none",
                   markersize=5, label=level)
            for level, marker in LEVEL_MARKERS.items()
        ]  # fmt: skip
        if text:
            handles.append(Line2D([], [], color="0.3", linestyle="--", label=text))
        figure.legend(
            handles=handles, frameon=False, loc="outside upper left", ncols=4, handlelength=1.4,
            columnspacing=1.0,
        )  # fmt: skip
        note_source(
            figure,
            models["source"],
            "bars: 95 % interval of α" if np.isfinite(half_widths).any() else "",
        )
    return figure


def _draw_fit(axes: mpl.axes.Axes, points: pd.DataFrame, slopes: pd.DataFrame) -> str | None:
    fit = slopes[slopes["predictor"] == PREDICTOR].dropna(subset=["slope"])
    if fit.empty:
        return None
    row = fit.iloc[0]
    reach = np.array([0.0, points[PREDICTOR].max() * 1.05])
    axes.plot(reach, (row["intercept"] + row["slope"] * reach) * 1e6, color="0.3", linestyle="--")
    error = row["mean_relative_error_percent"]
    return "fit" if pd.isna(error) else f"fit, mean error {error:.1f} %"
