"""How figures look: one column wide, colour-blind safe, the source printed on each."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nic_energy.files import atomic_path
from nic_energy.vocabulary import SOURCE_NOTES

COLUMN_IN = 3.5
"""Width of one column of a two-column paper, in inch."""

NOTE_CHARACTERS = 76
"""What fits into a line of the source note."""

BLUE, ORANGE, GREEN, PINK, YELLOW, SKY, RED, BLACK = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#F0E442",
    "#56B4E9",
    "#D55E00",
    "#000000",
)
"""Okabe and Ito's colours, which the colour-blind can tell apart."""

SERIES = (BLUE, RED, GREEN, PINK, ORANGE, SKY, BLACK, YELLOW)
LEVEL_COLOURS = {"low": BLUE, "high": RED}
LEVEL_MARKERS = {"low": "x", "high": "o"}

RULES: Any = {
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "nic-energy",
}


PRINTED_COLOUR = "0.62"
PRINTED_LABEL = "printed in the paper"
PRINTED_REACH = (0.25, 2.0)
"""What the paper prints is drawn where its largest value is from so small to so large a multiple of
ours: on another scale it would only squeeze ours.
"""


def canvas(height_in: float = 2.6) -> tuple[Figure, Axes]:
    """An empty figure of one column's width."""
    figure = blank(height_in)
    return figure, figure.add_subplot()


def blank(height_in: float, width_in: float = COLUMN_IN) -> Figure:
    """A figure without axes; add them under `RULES`."""
    with mpl.rc_context(RULES):
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        FigureCanvasAgg(figure)
        return figure


def on_our_scale(printed: float, ours: float) -> bool:
    """Whether a printed value fits into axes made for ours."""
    return ours > 0 and PRINTED_REACH[0] <= printed / ours <= PRINTED_REACH[1]


def note_source(figure: Figure, sources: Iterable[str], *more: str, what: str = "Energies") -> None:
    """Print below the figure where its joules or watts come from.

    Args:
        sources: `source` of what is shown.
        more: what else to say of it.
        what: what the sources are of.
    """
    parts = [SOURCE_NOTES[source] for source in sorted(set(sources))]
    lines = [f"{what} {parts[0]}"] if parts else [what]
    for part in [*parts[1:], *filter(None, more)]:
        if len(lines[-1]) + len(part) > NOTE_CHARACTERS:
            lines[-1] += ";"
            lines.append(part)
        else:
            lines[-1] += f"; {part}"
    figure.supxlabel("\n".join(lines), fontsize=6, color="0.35", x=0.02, ha="left")


def save(figure: Figure, stem: Path) -> None:
    """Write `stem`.svg (text as text, equal bytes for equal figures) and `stem`.png (300 dpi)."""
    with mpl.rc_context(RULES):
        for suffix, options in ((".svg", {"metadata": {"Date": None}}), (".png", {"dpi": 300})):
            with atomic_path(stem.with_name(stem.name + suffix)) as partial:
                figure.savefig(partial, format=suffix[1:], **options)
