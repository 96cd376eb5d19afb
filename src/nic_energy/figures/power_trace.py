"""Power over time of one modality, as in the paper's Fig. 1."""

from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from nic_energy import tables
from nic_energy.campaign import trace_path
from nic_energy.errors import InputError
from nic_energy.figures.style import BLUE, RED, RULES, canvas, note_source
from nic_energy.traces import Trace, read_trace

BEFORE_SHARE = 0.35
"""How much is shown before and after the window, as a share of its length."""


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
    """Power over time around the first admissible window, its marks as dashed lines."""
    modality = trace.meta.modality
    window = next((w for w in trace.meta.windows if w.admissible), None)
    if modality is None or window is None:
        raise InputError("the trace holds no admissible window to show.")
    field = str(trace.meta.stopping["power_field"])
    time = trace.column("time_s") - window.start_s
    power = trace.column(field)
    margin = BEFORE_SHARE * window.duration_s
    shown = (time > -margin) & (time < window.duration_s + margin)
    with mpl.rc_context(RULES):
        figure, axes = canvas()
        axes.plot(time[shown], power[shown], color=BLUE, marker=".", markersize=3)
        for mark in (0.0, window.duration_s):
            axes.axvline(mark, color=RED, linestyle="--", linewidth=0.9)
        idle_w = trace.meta.idle_power_w.get(field)
        if idle_w is not None:
            axes.axhline(idle_w, color="0.5", linestyle=":", linewidth=0.9)
            axes.annotate(
                "idle",
                (1.0, idle_w),
                xycoords=("axes fraction", "data"),
                xytext=(0, 2),
                textcoords="offset points",
                ha="right",
                fontsize=7,
                color="0.4",
            )
        axes.set_ylim(bottom=0)
        axes.set_xlabel("Time since the first mark (s)")
        axes.set_ylabel("Power (W)")
        axes.set_title(
            f"{modality.network}, quality {modality.quality}, {modality.image.image}\n"
            f"M = {window.executions} executions in {window.duration_s:.2f} s",
            loc="left",
        )
        note_source(figure, [trace.meta.source], field, what="Power")
    return figure
