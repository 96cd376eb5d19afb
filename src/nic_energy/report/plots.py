"""Traces and axes of the interactive plots, in the words of Plotly's schema."""

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd

from nic_energy.typeset.cells import NOTHING

LEVEL_SYMBOLS = {"low": "x-thin-open", "high": "circle-open"}
LEVEL_DASHES = {"low": "dash", "high": "solid"}
DIGITS = 6
"""Significant digits of a coordinate: more than can be seen."""

Trace = dict[str, Any]


def rounded(values: Iterable[Any]) -> list[float | None]:
    """Numbers for JSON: short, and null where there is none, or none that a plot could show."""
    return [float(f"{value:.{DIGITS}g}") if finite(value) else None for value in values]


def finite(value: Any) -> bool:
    """Whether it is a number, neither missing nor infinite (a percentage of 0 J is)."""
    return not pd.isna(value) and math.isfinite(value)


def shown(text: object) -> str:
    """A name in a plot, which reads some markup and templates: none of them is left."""
    return escape(str(text), quote=False).replace("%{", "% {")


def safe(value: Any) -> Any:
    """A cell of hover data: text without markup, a dash for no number, all else as it is."""
    if isinstance(value, float) and not finite(value):
        return NOTHING
    return shown(value) if isinstance(value, str) else value


def axis(title: str, **more: Any) -> dict[str, Any]:
    """An axis from zero on."""
    return {"title": {"text": title}, "rangemode": "tozero", **more}


def points(
    network: str,
    level: str,
    x: Iterable[Any],
    y: Iterable[Any],
    symbol: str,
    about: Sequence[Sequence[Any]],
    hover: str,
    **more: Any,
) -> Trace:
    """Markers of one network and level, in the colour of the network.

    Args:
        about: hover data, a sequence a point. hover: what is said of a point, in Plotly's
            template language; network and level are put before it.
    """
    return {
        "type": "scatter",
        "mode": "markers",
        "name": f"{shown(network)}, {level}",
        "meta": {"network": network},
        "x": rounded(x),
        "y": rounded(y),
        "marker": {"symbol": symbol, "size": 8, "color": "@network", "line": {"width": 1.6}},
        "customdata": [[safe(cell) for cell in row] for row in about],
        "hovertemplate": f"<b>{shown(network)}</b>, {level}<br>{hover}<extra></extra>",
        **more,
    }


def line(
    network: str | None, name: str, x: Iterable[Any], y: Iterable[Any], dash: str = "solid"
) -> Trace:
    """A line, of a network where it belongs to one; it says nothing when it is pointed at."""
    meta: Mapping[str, Any] = {} if network is None else {"network": network}
    return {
        "type": "scatter",
        "mode": "lines",
        "name": shown(name),
        "meta": meta,
        "x": rounded(x),
        "y": rounded(y),
        "line": {"color": "@muted" if network is None else "@network", "dash": dash,
                 "width": 1.5},
        "hoverinfo": "skip",
    }  # fmt: skip


def error_bars(half: Iterable[Any]) -> dict[str, Any]:
    """Error bars of so much to both sides; none where it is not known."""
    return {"type": "data", "array": rounded(half), "thickness": 1.2, "width": 3}
