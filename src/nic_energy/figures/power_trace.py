"""Power over time of one modality, as in the paper's Fig. 1."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nic_energy import tables
from nic_energy.campaign import trace_path
from nic_energy.errors import InputError
from nic_energy.figures.style import BLUE, ORANGE, RED, RULES, SKY, blank, note_source
from nic_energy.traces import Trace, read_trace

FloatArray = npt.NDArray[np.float64]

SHOWN_SHARE = 0.5
"""How much is shown before and after the window, as a share of its length."""

HEIGHTS, HEIGHT_IN = (1.0, 1.6), 3.4
PHASES = {
    "idle_context": ("idle", "0.5"),
    "idle_paired": ("idle", "0.5"),
    "preheat": ("preheating", ORANGE),
    "settle": ("settling", SKY),
}
"""Stretches of a trace that are named in the figure, with their colours."""


def choose(energy: pd.DataFrame) -> tuple[str, str, int, str]:
    """The modality to show: the one in the middle of all gross energies; always the same one.

    Raises:
        InputError: there is no modality at all.
    """
    if energy.empty:
        raise InputError("energy.csv holds no modality, so there is no trace to show.")
    ranked = energy.sort_values(["energy_gross_j", "network", "quality", "image"])
    row = ranked.iloc[len(ranked) // 2]
    return str(row["part"]), str(row["network"]), int(row["quality"]), str(row["image"])


def plot_from(energy: Path, setup: str) -> Figure:
    """The figure for a set-up, from its energy.csv and its traces."""
    key = choose(tables.read_csv(energy, tables.ENERGY_COLUMNS))
    return plot(read_trace(trace_path(setup, *key)))


def plot(trace: Trace) -> Figure:
    """The whole measurement above, its last admissible window and what comes after it below.

    The marks of the window are dashed.
    """
    modality = trace.meta.modality
    window = next((w for w in reversed(trace.meta.windows) if w.admissible), None)
    if modality is None or window is None:
        raise InputError("the trace holds no admissible window to show.")
    field = str(trace.meta.stopping["power_field"])
    time = trace.column("time_s") - window.start_s
    power = trace.column(field)
    margin = SHOWN_SHARE * window.duration_s
    shown = (time > -margin) & (time < window.duration_s + margin)
    with mpl.rc_context(RULES):
        figure = blank(HEIGHT_IN)
        whole, detail = figure.subplots(2, height_ratios=HEIGHTS)
        _draw_whole(whole, trace, time, power, window.start_s)
        detail.plot(time[shown], power[shown], color=BLUE, marker=".", markersize=3)
        for mark in (0.0, window.duration_s):
            detail.axvline(mark, color=RED, linestyle="--", linewidth=0.9)
        _draw_idle(detail, trace.meta.idle_power_w.get(field))
        detail.set_xlabel("Time since the first mark (s)")
        whole.set_title(
            f"{modality.network}, quality {modality.quality}, {modality.image.image}\n"
            f"M = {window.executions} executions in {window.duration_s:.2f} s",
            loc="left",
        )
        for axes in (whole, detail):
            axes.set_ylim(bottom=0)
            axes.margins(x=0.01)
        figure.supylabel("Power (W)", fontsize=8)
        note_source(figure, [trace.meta.source], field, what="Power")
    return figure


def _draw_whole(
    axes: Axes, trace: Trace, time: FloatArray, power: FloatArray, origin_s: float
) -> None:
    """All samples, and below them which stretch is what."""
    axes.plot(time, power, color=BLUE, linewidth=0.5)
    stretches = [(i.start_s, i.end_s, PHASES[i.phase]) for i in trace.meta.intervals
                 if i.phase in PHASES]  # fmt: skip
    stretches += [
        (w.start_s, w.end_s, ("windows", RED)) for w in trace.meta.windows if w.admissible
    ]
    named = set()
    for start_s, end_s, (name, colour) in stretches:
        axes.axvspan(
            start_s - origin_s, end_s - origin_s, color=colour, alpha=0.25, linewidth=0,
            label=None if name in named else name,
        )  # fmt: skip
        named.add(name)
    if named:
        axes.legend(
            loc="lower left", bbox_to_anchor=(0.0, -0.52), ncols=len(named), frameon=False,
            handlelength=1.0, columnspacing=1.0, borderpad=0,
        )  # fmt: skip


def _draw_idle(axes: Axes, idle_w: float | None) -> None:
    if idle_w is None:
        return
    axes.axhline(idle_w, color="0.5", linestyle=":", linewidth=0.9)
    axes.annotate(
        "idle subtracted",
        (0.0, idle_w),
        xycoords=("axes fraction", "data"),
        xytext=(2, 2),
        textcoords="offset points",
        fontsize=7,
        color="0.4",
    )
