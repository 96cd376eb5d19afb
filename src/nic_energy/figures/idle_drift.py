"""Idle power over the time of the campaign: of the reference and of every modality."""

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nic_energy.errors import InputError
from nic_energy.figures.style import BLACK, GREEN, PINK, RULES, canvas, note_source

OWN_KINDS = {
    "context": (GREEN, "^", "network resident, before it runs"),
    "paired": (PINK, "s", "after the windows"),
}
FEW = 40
"""With more points than this, their error bars would hide one another."""


def reported(energy: pd.DataFrame, idle: pd.DataFrame) -> pd.DataFrame:
    """The rows of idle.csv of the power column that energy.csv reports, with `hours` since the
    first of them; rows without a time are left out.

    Raises:
        InputError: no idle power of that column was recorded.
    """
    columns = energy["power_field"].dropna().mode()
    chosen = idle[idle["power_field"].isin(columns[:1])]
    rows = chosen.dropna(subset=["idle_power_w", "unix_time_s"])
    if rows.empty:
        raise InputError("idle.csv holds no idle power of the column that energy.csv reports.")
    return rows.assign(hours=(rows["unix_time_s"] - rows["unix_time_s"].min()) / 3600)


def plot(energy: pd.DataFrame, idle: pd.DataFrame) -> Figure:
    """One marker a recorded idle, the reference as a line with a band of one u to each side.

    Args:
        energy: energy.csv. idle: idle.csv.

    Raises:
        InputError: no idle power of the column that energy.csv reports was recorded.
    """
    rows = reported(energy, idle)
    with mpl.rc_context(RULES):
        figure, axes = canvas()
        for kind, (colour, marker, name) in OWN_KINDS.items():
            points = rows[rows["idle_kind"] == kind]
            if not points.empty:
                _draw(axes, points, colour, marker, f"{kind}: {name}")
        _draw_reference(axes, rows[rows["idle_kind"] == "cold"])
        axes.margins(y=0.12)
        axes.set_xlabel("Time since the first idle (h)")
        axes.set_ylabel("Idle power (W)")
        figure.legend(frameon=False, loc="outside upper left", handlelength=1.6)
        note_source(figure, rows["source"], str(rows["power_field"].iloc[0]), what="Power")
    return figure


def _draw(axes: Axes, points: pd.DataFrame, colour: str, marker: str, label: str) -> None:
    axes.plot(
        points["hours"],
        points["idle_power_w"],
        marker,
        color=colour,
        markerfacecolor="none",
        markersize=3,
        markeredgewidth=0.7,
        label=label,
    )
    if len(points) <= FEW:
        axes.errorbar(
            points["hours"],
            points["idle_power_w"],
            yerr=pd.to_numeric(points["idle_power_u_w"]).fillna(0.0),
            fmt="none",
            ecolor=colour,
            elinewidth=0.7,
        )


def _draw_reference(axes: Axes, cold: pd.DataFrame) -> None:
    if cold.empty:
        return
    row = cold.iloc[0]
    power, u = float(row["idle_power_w"]), row["idle_power_u_w"]
    label = f"cold: reference, {power:.2f} W"
    if pd.notna(u):
        axes.axhspan(power - float(u), power + float(u), color="0.75", linewidth=0, zorder=0)
        label += f", u = {float(u):.2g} W"
    axes.axhline(power, color=BLACK, linewidth=0.9, linestyle="--", label=label)
    axes.plot(row["hours"], power, "D", color=BLACK, markersize=3)
