"""Slopes of set-ups side by side, each over that of a reference network on the same set-up."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from nic_energy.errors import InputError
from nic_energy.figures.style import RULES, SERIES, canvas, note_source
from nic_energy.models.uncertainty import numbers

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
ROW_IN = 0.2
FRAME_IN = 1.1
SPREAD = 0.7
"""Share of a row over which its set-ups are spread."""

MOST_SPAN = 3.0
"""The axis reaches at most this factor beyond the least and the largest ratio; a long bar may leave
it."""


def plot(slopes: pd.DataFrame, portability: pd.DataFrame) -> Figure:
    """A row a network and level, a colour and marker a set-up, bars for the 95 % interval.

    Args:
        slopes: slopes.csv. portability: portability.csv.

    Raises:
        InputError: there is no ratio to show.
    """
    points = slopes.dropna(subset=["ratio"])
    if points.empty:
        raise InputError("slopes.csv holds no slope over the reference's, so there is no figure.")
    several = points["part"].nunique() > 1
    keys = list(
        dict.fromkeys(zip(points["part"], points["abbreviation"], points["level"], strict=True))
    )
    keys.sort(key=lambda key: float(points[_chosen(points, key)]["ratio"].mean()))
    setups = list(dict.fromkeys(slopes["setup"]))
    with mpl.rc_context(RULES):
        figure, axes = canvas(FRAME_IN + ROW_IN * (len(keys) + 1) + 0.12 * len(setups))
        for number, setup in enumerate(setups):
            own = points[points["setup"] == setup]
            offset = SPREAD * ((number + 0.5) / len(setups) - 0.5)
            _draw(axes, own, keys, offset, number)
        for place, key in enumerate(keys):
            axes.axhspan(place - 0.5, place + 0.5, color="0.96" if place % 2 else "1", zorder=0)
            axes.annotate(
                "; ".join(_verdicts(portability, key)),
                (1.0, place),
                xycoords=("axes fraction", "data"),
                xytext=(4, 0),
                textcoords="offset points",
                fontsize=6,
                va="center",
                color="0.3",
                annotation_clip=False,
            )
        _dress(axes, points, keys, several)
        figure.legend(frameon=False, loc="outside upper left", ncols=2, handletextpad=0.4)
        note_source(figure, slopes["source"], "bars: 95 % interval", what="Slopes")
    return figure


Row = tuple[str, str, str]


def _chosen(table: pd.DataFrame, key: Row) -> pd.Series:
    part, abbreviation, level = key
    return (
        (table["part"] == part)
        & (table["abbreviation"] == abbreviation)
        & (table["level"] == level)
    )


def _verdicts(portability: pd.DataFrame, key: Row) -> list[str]:
    return list(dict.fromkeys(portability[_chosen(portability, key)]["verdict"]))


def _draw(axes: Axes, own: pd.DataFrame, keys: Sequence[Row], offset: float, number: int) -> None:
    """The points of a set-up; those of the reference, which are 1 by definition, without bars."""
    places = [
        keys.index(key) + offset
        for key in zip(own["part"], own["abbreviation"], own["level"], strict=True)
    ]
    ratio, low, high = (numbers(own, name) for name in ("ratio", "ratio_low", "ratio_high"))
    bars = np.nan_to_num(np.array([ratio - low, high - ratio]))
    colour, source = SERIES[number % len(SERIES)], ", ".join(sorted(set(own["source"])))
    axes.errorbar(
        ratio,
        places,
        xerr=bars,
        fmt=MARKERS[number % len(MARKERS)],
        color=colour,
        markersize=3.5,
        markerfacecolor=colour if source == "measured" else "white",
        markeredgewidth=0.9,
        elinewidth=0.8,
        label=f"{own['setup'].iloc[0]} ({source})",
    )


def _dress(axes: Axes, points: pd.DataFrame, keys: Sequence[Row], several: bool) -> None:
    axes.set_yticks(
        range(len(keys)),
        [f"{name}, {level}" + (f", {part}" if several else "") for part, name, level in keys],
    )
    axes.set_ylim(len(keys) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.axvline(1.0, color="0.5", linewidth=0.7, linestyle="--", zorder=1)
    axes.set_xscale("log")
    least, most = points["ratio"].min(), points["ratio"].max()
    left, right = axes.get_xlim()
    axes.set_xlim(max(left, least / MOST_SPAN), min(right, most * MOST_SPAN))
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    reference = str(points["reference"].iloc[0])
    axes.set_xlabel(f"Slope α over that of {_spoken(reference, points)}")


def _spoken(reference: str, points: pd.DataFrame) -> str:
    network, _, level = reference.partition(":")
    short: Mapping[str, str] = dict(zip(points["network"], points["abbreviation"], strict=True))
    return f"{short.get(network, network)}, {level}"
