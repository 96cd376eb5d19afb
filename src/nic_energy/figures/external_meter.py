"""The sensor beside an external meter: mean powers of all runs, and what the line leaves."""

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nic_energy.errors import InputError
from nic_energy.figures.style import (
    BLACK,
    COLUMN_IN,
    LEVEL_COLOURS,
    LEVEL_MARKERS,
    RED,
    RULES,
    note_source,
)
from nic_energy.vocabulary import LEVELS

HEIGHT_IN = 5.4
LIMIT = 1.96
"""Residuals lie within so many standard deviations at 95 %."""


def plot(runs: pd.DataFrame, summary: Mapping[str, Any]) -> Figure:
    """Readings over the meter with the fitted line; residuals over power, and over time.

    Args:
        runs: external_meter.csv. summary: external_meter.json.

    Raises:
        InputError: no run is covered by the meter.
    """
    rows = runs.dropna(subset=["meter_power_w"])
    if rows.empty:
        raise InputError("external_meter.csv holds no run that the meter covers.")
    with mpl.rc_context(RULES):
        figure = Figure(figsize=(COLUMN_IN, HEIGHT_IN), layout="constrained")
        FigureCanvasAgg(figure)
        top, middle, bottom = figure.subplots(3, 1, height_ratios=(2, 1, 1))
        _scatter(top, rows, summary)
        _residuals(middle, rows, rows["meter_power_w"], summary)
        middle.sharex(top)
        top.tick_params(labelbottom=False)
        middle.set_xlabel(f"Mean power by {summary['meter']} (W)")
        hours = (rows["unix_time_s"] - rows["unix_time_s"].min()) / 3600
        _residuals(bottom, rows, hours, summary)
        bottom.set_xlabel("Time since the first run (h)")
        figure.align_ylabels()
        note_source(figure, rows["source"], _power_field(summary), what="Powers")
    return figure


def _scatter(axes: Axes, rows: pd.DataFrame, summary: Mapping[str, Any]) -> None:
    gain, offset = summary["gain"], summary["offset_w"]
    for level, points in _by_level(rows):
        _points(axes, points["meter_power_w"], points["sensor_power_w"], level, label=True)
    columns = ["meter_power_w"]
    if summary["sees"] == "board":
        axes.plot(
            rows["meter_idle_power_w"], rows["sensor_idle_power_w"], "+", color="0.55",
            markersize=3, markeredgewidth=0.6, label="idle",
        )  # fmt: skip
        columns.append("meter_idle_power_w")
    ends = np.array([rows[columns].min().min(), rows[columns].max().max()])
    axes.plot(ends, gain["value"] * ends + offset["value"], color=BLACK, linewidth=0.9)
    axes.set_ylabel("Sensor (W)")
    axes.set_title(
        f"gain {gain['value']:.4f}, U = {gain['expanded_95']:.2g}\n"
        f"offset {offset['value']:+.2f} W, U = {offset['expanded_95']:.2g} W\n"
        f"r = {summary['pearson_r_power']:.5f} over {summary['runs']} runs".replace("-", "−"),
        loc="left",
    )
    axes.legend(frameon=False, loc="upper left", handlelength=1.0)


def _residuals(
    axes: Axes, rows: pd.DataFrame, place: "pd.Series[float]", summary: Mapping[str, Any]
) -> None:
    for level, points in _by_level(rows):
        _points(axes, place[points.index], points["residual_w"], level)
    axes.axhline(0.0, color=BLACK, linewidth=0.9)
    for side in (-1, 1):
        axes.axhline(
            side * LIMIT * summary["residual_std_w"], color=RED, linewidth=0.7, linestyle="--"
        )
    axes.set_ylabel("Sensor less line (W)")


def _by_level(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    groups = [(str(level), points) for level, points in rows.groupby("level")]
    order = [*LEVELS, *(level for level, _ in groups if level not in LEVELS)]
    return sorted(groups, key=lambda group: order.index(group[0]))


def _points(
    axes: Axes, x: "pd.Series[float]", y: "pd.Series[float]", level: str, label: bool = False
) -> None:
    axes.plot(
        x,
        y,
        LEVEL_MARKERS.get(level, "."),
        color=LEVEL_COLOURS.get(level, BLACK),
        markersize=2.5,
        markeredgewidth=0.6,
        markerfacecolor="none",
        label=level if label else None,
    )


def _power_field(summary: Mapping[str, Any]) -> str:
    return f"{summary['estimator']} of {summary['power_field']}; dashed: 95 % of the residuals"
