"""Slope alpha over MAC operations, as in the paper's Fig. 3."""

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nic_energy.figures.style import (
    LEVEL_MARKERS,
    PRINTED_COLOUR,
    PRINTED_LABEL,
    RULES,
    SERIES,
    canvas,
    note_source,
    on_our_scale,
)
from nic_energy.models.linear import FloatArray, fit_line
from nic_energy.models.uncertainty import numbers

PREDICTOR = "kmac_per_pixel"
MOST_BAR = 1.5
"""The axes reach at most to this multiple of the largest slope; a long bar may leave them."""


def plot(
    models: pd.DataFrame,
    slopes: pd.DataFrame,
    complexity: pd.DataFrame,
    printed: pd.DataFrame | None = None,
) -> Figure:
    """One point a network and level with its 95 % interval: x low, o high, a colour a network, the
    fit dashed.

    The paper's own points lie behind, in grey, where they fit into the axes.

    Args:
        models: energy_models.csv. slopes: complexity_models.csv. complexity: complexity.csv.
        printed: the paper's Tables 1 and 2, joined.
    """
    counts = complexity.drop_duplicates(["network", "level"])[["network", "level", PREDICTOR]]
    points = models.merge(counts, on=["network", "level"]).dropna(subset=["alpha_j_per_pixel"])
    colours = dict(zip(dict.fromkeys(points["abbreviation"]), SERIES, strict=False))
    with mpl.rc_context(RULES):
        figure, axes = canvas(2.8)
        half_widths = numbers(points, "alpha_expanded_j_per_pixel")
        _draw_points(axes, points, half_widths, colours)
        text = _draw_fit(axes, points, slopes)
        axes.set_xlim(left=0)
        _limit(axes, points["alpha_j_per_pixel"] * 1e6)
        shown = _draw_printed(axes, points, printed)
        axes.set_xlabel("Complexity (kMAC per pixel)")
        axes.set_ylabel("Slope α (J per Mpx)")
        figure.legend(
            handles=_handles(colours, text, drawn=shown.startswith("grey")), frameon=False,
            loc="outside upper left", ncols=4, handlelength=1.4, columnspacing=1.0,
        )  # fmt: skip
        barred = np.isfinite(half_widths).any()
        note_source(figure, models["source"], "bars: 95 % interval of α" if barred else "", shown)
    return figure


def _draw_points(
    axes: Axes, points: pd.DataFrame, half_widths: FloatArray, colours: Mapping[str, str]
) -> None:
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


def _limit(axes: Axes, slopes: pd.Series) -> None:
    axes.set_ylim(bottom=min(0.0, 1.1 * slopes.min()))
    if slopes.max() > 0:
        axes.set_ylim(top=min(axes.get_ylim()[1], MOST_BAR * slopes.max()))


def _draw_printed(axes: Axes, points: pd.DataFrame, printed: pd.DataFrame | None) -> str:
    """The paper's points and its line of the levels shown; what to say of them."""
    if printed is None or points.empty:
        return ""
    theirs = printed.merge(points[["network", "level"]], on=["network", "level"])
    if theirs.empty:
        return ""
    x, alpha = numbers(theirs, PREDICTOR), numbers(theirs, "alpha_j_per_pixel") * 1e6
    top = axes.get_ylim()[1]
    if not on_our_scale(float(alpha.max()), top):
        return f"{PRINTED_LABEL}: up to {alpha.max():.3g} J/Mpx, not drawn"
    for level, marker in LEVEL_MARKERS.items():
        chosen = (theirs["level"] == level).to_numpy()
        axes.plot(x[chosen], alpha[chosen], marker, color=PRINTED_COLOUR, markersize=4,
                  markerfacecolor=PRINTED_COLOUR, zorder=1)  # fmt: skip
    line = fit_line(x, alpha)
    if line is not None:
        reach = np.array([0.0, 1.05 * float(x.max())])
        axes.plot(reach, line.predict(reach), color=PRINTED_COLOUR, linestyle=":", zorder=1)
    axes.set_ylim(top=max(top, 1.05 * float(alpha.max())))
    return f"grey: {PRINTED_LABEL}, another GPU, its own counts"


def _handles(colours: Mapping[str, str], fit: str | None, drawn: bool) -> list[Line2D]:
    handles = [
        Line2D([], [], color=colour, marker="s", linestyle="none", markersize=5, label=name)
        for name, colour in colours.items()
    ]
    handles += [
        Line2D([], [], color="0.3", marker=marker, linestyle="none", markerfacecolor="none",
               markersize=5, label=level)
        for level, marker in LEVEL_MARKERS.items()
    ]  # fmt: skip
    if fit:
        handles.append(Line2D([], [], color="0.3", linestyle="--", label=fit))
    if drawn:
        handles.append(
            Line2D([], [], color=PRINTED_COLOUR, linestyle=":", marker="o", markersize=4,
                   label=PRINTED_LABEL)
        )  # fmt: skip
    return handles


def _draw_fit(axes: Axes, points: pd.DataFrame, slopes: pd.DataFrame) -> str | None:
    fit = slopes[slopes["predictor"] == PREDICTOR].dropna(subset=["slope"])
    if fit.empty:
        return None
    row = fit.iloc[0]
    reach = np.array([0.0, points[PREDICTOR].max() * 1.05])
    axes.plot(reach, (row["intercept"] + row["slope"] * reach) * 1e6, color="0.3", linestyle="--")
    error = row["mean_relative_error_percent"]
    return "fit" if pd.isna(error) else f"fit, mean error {error:.1f} %"
