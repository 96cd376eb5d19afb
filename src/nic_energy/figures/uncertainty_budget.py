"""What the uncertainty of the energies is made of, per network and level."""

import math

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from nic_energy.errors import InputError
from nic_energy.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PINK,
    RED,
    RULES,
    SKY,
    YELLOW,
    canvas,
    note_source,
)
from nic_energy.vocabulary import LEVELS

COMPONENTS = {
    "repeatability": (BLUE, "o"),
    "trend": (YELLOW, "P"),
    "edges": (RED, "s"),
    "idle": (GREEN, "^"),
    "temperature": (ORANGE, "D"),
    "gain": (PINK, "v"),
    "disagreement": (SKY, "X"),
}
"""Colour and marker of each component of energy.csv's budget, in the order of the columns."""

DECADES = 2.0
"""At least so many lie between the edge of the axes and the largest uncertainty; what is smaller
is drawn at the edge."""

ROW_IN, FRAME_IN = 0.17, 1.05
"""Height of a line and of all that surrounds the lines, in inch."""


def relative_budget(energy: pd.DataFrame) -> pd.DataFrame:
    """Median relative standard uncertainties in percent of the energy, a row a network and level.

    Columns: `network`, `level`, every component, `combined`, `expanded` (at 95 %) and
    `dominating`, the component that most rows name, empty where no row has a budget. A component
    is missing where no row knows it, as are all columns that the table lacks.
    """
    shares = pd.DataFrame({"network": energy["network"], "level": energy["level"]})
    joules = energy["energy_j"].abs()
    names = {name: f"u_{name}_j" for name in (*COMPONENTS, "combined")}
    for name, column in {**names, "expanded": "expanded_uncertainty_j"}.items():
        known = energy[column] if column in energy else pd.Series(math.nan, energy.index)
        shares[name] = 100 * pd.to_numeric(known) / joules.where(joules > 0)
    groups = shares.groupby(["network", "level"], sort=False)
    table = groups.median().reset_index()
    dominating = {}
    if "dominating_uncertainty" in energy:
        for key, words in energy.groupby(["network", "level"])["dominating_uncertainty"]:
            dominating[key] = next(iter(words.dropna().mode()), None)
    table["dominating"] = [
        dominating.get(key) for key in zip(table["network"], table["level"], strict=True)
    ]
    order = {level: place for place, level in enumerate(LEVELS)}
    first = {name: place for place, name in enumerate(dict.fromkeys(energy["network"]))}
    places = [
        (first[name], order.get(level, len(order)))
        for name, level in zip(table["network"], table["level"], strict=True)
    ]
    return table.iloc[sorted(range(len(table)), key=places.__getitem__)].reset_index(drop=True)


def plot(energy: pd.DataFrame) -> Figure:
    """A line a network and level: a marker a component, that of the dominating one filled, and the
    combined standard uncertainty as a bar.

    Args:
        energy: energy.csv.

    Raises:
        InputError: energy.csv holds no row.
    """
    if energy.empty:
        raise InputError("energy.csv holds no modality, so there is no uncertainty to show.")
    table = relative_budget(energy)
    shown = [name for name in COMPONENTS if table[name].notna().any()]
    most = table[[*shown, "combined"]].max().max()
    most = float(most) if most > 0 else 1.0
    edge = 10 ** math.floor(math.log10(most) - DECADES)
    with mpl.rc_context(RULES):
        figure, axes = canvas(FRAME_IN + ROW_IN * max(len(table), 3))
        for place, row in enumerate(table.to_dict("records")):
            if pd.isna(row["combined"]):
                axes.text(0.02, place, "no budget", transform=axes.get_yaxis_transform(),
                          va="center", fontsize=6, color="0.4")  # fmt: skip
                continue
            axes.axhline(place, color="0.88", linewidth=0.6, zorder=0)
            axes.plot(max(row["combined"], edge), place, "|", color=BLACK, markersize=9)
            for name in shown:
                if pd.notna(row[name]):
                    _draw(axes, name, max(row[name], edge), place, name == row["dominating"])
        _dress(axes, table, edge, most)
        if table["combined"].notna().any():
            _legend(figure, shown)
        note_source(figure, energy["source"])
    return figure


def _draw(axes: Axes, name: str, percent: float, place: int, dominates: bool) -> None:
    colour, marker = COMPONENTS[name]
    axes.plot(
        percent,
        place,
        marker,
        color=colour,
        markerfacecolor=colour if dominates else "white",
        markersize=4.5,
        markeredgewidth=0.9,
        clip_on=False,
    )


def _dress(axes: Axes, table: pd.DataFrame, edge: float, most: float) -> None:
    names = zip(table["network"], table["level"], strict=True)
    axes.set_yticks(range(len(table)), [f"{network}, {level}" for network, level in names])
    axes.set_ylim(len(table) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0, pad=6, labelsize=6.5)
    axes.spines["left"].set_visible(False)
    axes.set_xscale("log")
    axes.set_xlim(edge, most * 1.6)
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda x, _: f"≤{x:g}" if x <= edge * 1.01 else f"{x:g}")
    )
    axes.set_xlabel("Standard uncertainty, median (% of the energy)", loc="right")


def _legend(figure: Figure, shown: list[str]) -> None:
    handles = [
        Line2D([], [], color=COMPONENTS[name][0], marker=COMPONENTS[name][1], linestyle="none",
               markersize=4.5, label=name)
        for name in shown
    ]  # fmt: skip
    handles.append(
        Line2D([], [], color=BLACK, marker="|", linestyle="none", markersize=8, label="combined")
    )
    figure.legend(
        handles=handles, frameon=False, loc="outside upper left", ncols=3, handlelength=1.0,
        title="filled: dominating", title_fontsize=7, alignment="left",
    )  # fmt: skip
