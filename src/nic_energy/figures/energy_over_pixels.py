"""Energy over pixels of one network with its fitted lines, as in the paper's Fig. 2."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nic_energy.errors import InputError
from nic_energy.figures.style import (
    LEVEL_COLOURS,
    LEVEL_MARKERS,
    PRINTED_COLOUR,
    PRINTED_LABEL,
    RULES,
    canvas,
    note_source,
    on_our_scale,
)
from nic_energy.models.uncertainty import FloatArray, line_uncertainty, numbers
from nic_energy.vocabulary import LEVELS

MARKER_PT = 4.0
AXES_PT = 115.0
"""Height of the axes, to know which error bars would stick out of their marker."""

GRID = 100
MOST_BAND = 1.4
"""The axes reach at most to this multiple of the highest point or line."""


def _signed(value: float) -> str:
    sign = "+" if value >= 0 else "−"
    return f"{sign} {abs(value):.2g}"


def band(points: pd.DataFrame, pixels: FloatArray) -> FloatArray | None:
    """Half the width in J of the 95 % interval of the line at these pixels, shape as `pixels`.

    The coverage factor is the larger of those of slope and offset. None where the uncertainty of
    the line is not known.
    """
    found = line_uncertainty(points)
    u = found.at(pixels) if found else None
    if found is None or u is None:
        return None
    return u * found.coverage_factor()


def plot(
    energy: pd.DataFrame, models: pd.DataFrame, network: str, printed: pd.DataFrame | None = None
) -> Figure:
    """One marker a modality, one line a level with a band for its 95 % interval.

    The lines of the paper's Table 2 lie behind, in grey, where they fit into the axes.

    Args:
        energy: energy.csv. models: energy_models.csv. printed: the paper's Table 2.

    Raises:
        InputError: the network has no energies.
    """
    rows = energy[energy["network"] == network]
    if rows.empty:
        raise InputError(f"energy.csv: no rows for {network}, so there is nothing to plot.")
    with mpl.rc_context(RULES):
        figure, axes = canvas()
        banded = False
        for level in LEVELS:
            points = rows[rows["level"] == level]
            if points.empty:
                continue
            _draw_points(axes, points, level)
            line = models[(models["network"] == network) & (models["level"] == level)]
            if len(line) and pd.notna(line["alpha_j_per_pixel"].iloc[0]):
                reach = np.linspace(0.0, float(rows["pixels"].max()), GRID)
                banded |= _draw_line(axes, points, line.iloc[0], reach, level)
        axes.set_xlim(left=0)
        _limit(axes)
        shown = _draw_printed(axes, rows, printed)
        _draw_error_bars(axes, rows)
        axes.set_xlabel("Pixels of the image, S (Mpx)")
        axes.set_ylabel("Energy of one execution (J)")
        axes.set_title(network, loc="left")
        figure.legend(frameon=False, loc="outside upper left", handlelength=1.6, ncols=2)
        notes = ["bands: 95 % interval of the line"] * banded + [shown] * bool(shown)
        note_source(figure, rows["source"], *notes)
    return figure


def _draw_points(axes: Axes, points: pd.DataFrame, level: str) -> None:
    axes.plot(
        points["pixels"] / 1e6,
        points["energy_j"],
        linestyle="none",
        marker=LEVEL_MARKERS[level],
        markersize=MARKER_PT,
        markerfacecolor="none",
        color=LEVEL_COLOURS[level],
        label=f"{level} quality levels",
    )


def _draw_line(
    axes: Axes, points: pd.DataFrame, model: pd.Series, reach: FloatArray, level: str
) -> bool:
    """The line and, where it is known, its band; whether there is one."""
    alpha, beta = float(model["alpha_j_per_pixel"]), float(model["beta_j"])
    line = beta + alpha * reach
    axes.plot(
        reach / 1e6,
        line,
        color=LEVEL_COLOURS[level],
        label=f"{alpha * 1e6:.3g} J/Mpx · S {_signed(beta)} J",
    )
    half = band(points, reach)
    if half is None:
        return False
    axes.fill_between(
        reach / 1e6, line - half, line + half, color=LEVEL_COLOURS[level], alpha=0.13, linewidth=0
    )
    return True


def _limit(axes: Axes) -> None:
    """Show all points and lines from 0 on; a wide band may leave the axes."""
    drawn = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.lines])
    top = min(axes.get_ylim()[1], MOST_BAND * float(drawn.max()))
    axes.set_ylim(min(0.0, 1.5 * float(drawn.min())), top)


def _draw_printed(axes: Axes, rows: pd.DataFrame, printed: pd.DataFrame | None) -> str:
    """The lines of the paper's Table 2 for the levels shown; what to say of them."""
    if printed is None:
        return ""
    inside = (printed["network"] == rows["network"].iloc[0]) & printed["level"].isin(rows["level"])
    lines = printed[inside]
    pixels, bottom_top = float(rows["pixels"].max()), axes.get_ylim()
    ends = lines["alpha_j_per_pixel"] * pixels + lines["beta_j"]
    if lines.empty:
        return ""
    if not on_our_scale(float(ends.max()), bottom_top[1]):
        return f"{PRINTED_LABEL}: up to {ends.max():.3g} J, not drawn"
    for number, row in enumerate(lines.to_dict("records")):
        reach = np.array([0.0, pixels])
        axes.plot(
            reach / 1e6,
            row["beta_j"] + row["alpha_j_per_pixel"] * reach,
            color=PRINTED_COLOUR, linestyle=(0, (4, 2)), linewidth=0.9, zorder=1,
            label=None if number else PRINTED_LABEL,
        )  # fmt: skip
    axes.set_ylim(bottom_top[0], max(bottom_top[1], 1.05 * float(ends.max())))
    return f"grey: {PRINTED_LABEL}, another GPU"


def _draw_error_bars(axes: Axes, rows: pd.DataFrame) -> None:
    """The expanded uncertainty of each energy where it reaches beyond the marker."""
    bottom, top = axes.get_ylim()
    half = numbers(rows, "expanded_uncertainty_j")
    for level, colour in LEVEL_COLOURS.items():
        shown = (half > (top - bottom) * MARKER_PT / 2 / AXES_PT) & (rows["level"] == level)
        if shown.any():
            points = rows[shown]
            axes.errorbar(
                points["pixels"] / 1e6,
                points["energy_j"],
                yerr=half[shown],
                fmt="none",
                ecolor=colour,
                elinewidth=0.6,
            )
