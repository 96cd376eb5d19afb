"""The joint model on networks that were left out: predicted against measured, with intervals."""

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from nic_energy.figures.style import LEVEL_MARKERS, RULES, SERIES, canvas, note_source

MARGIN, MOST_BAR = 1.05, 3.0
"""The axes end this factor beyond the bars, but not further than `MOST_BAR` beyond the points."""


def plot(document: Mapping[str, Any]) -> Figure:
    """A point a network and level, at the largest image: measured by its own line, predicted by a
    model that neither saw the network nor was chosen with it, as was its 95 % interval.

    Where no model was fitted the figure says why.

    Args:
        document: joint_model.json.
    """
    with mpl.rc_context(RULES):
        figure, axes = canvas(3.3)
        if not document["fitted"]:
            axes.text(0.5, 0.5, f"no joint model:\n{document['reason']}", ha="center", va="center",
                      transform=axes.transAxes, color="0.4", wrap=True, fontsize=7)  # fmt: skip
            axes.set_axis_off()
            note_source(figure, [document["source"]])
            return figure
        rows = document["left_out"]
        colours = dict(zip(dict.fromkeys(row["abbreviation"] for row in rows), SERIES * 4,
                           strict=False))  # fmt: skip
        for row in rows:
            axes.errorbar(
                row["measured_j"], row["predicted_j"],
                None if row["low_j"] is None else [
                    [row["predicted_j"] - row["low_j"]], [row["high_j"] - row["predicted_j"]]
                ],
                fmt=LEVEL_MARKERS[row["level"]], color=colours[row["abbreviation"]],
                markerfacecolor="none", markersize=5, markeredgewidth=1.1, elinewidth=0.7,
            )  # fmt: skip
        values = [row[name] for row in rows for name in ("measured_j", "predicted_j")]
        ends = [row[name] for row in rows for name in ("low_j", "high_j")]
        bars = [end for end in ends if end is not None] or values
        reach = (
            max(min(bars) / MARGIN, min(values) / MOST_BAR),
            min(max(bars) * MARGIN, max(values) * MOST_BAR),
        )
        axes.plot(reach, reach, color="0.6", linewidth=0.8, zorder=0)
        for scale, limit in ((axes.set_xscale, axes.set_xlim), (axes.set_yscale, axes.set_ylim)):
            scale("log")
            limit(*reach)
        axes.set_aspect("equal")
        megapixels = rows[0]["pixels"] / 1e6
        axes.set_xlabel(f"Energy at {megapixels:.3g} Mpx, own line (J)")
        axes.set_ylabel("Predicted by the others (J)")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_locator(NullLocator())
        handles = [
            Line2D([], [], color=colour, marker="s", linestyle="none", markersize=5, label=name)
            for name, colour in colours.items()
        ]
        handles += [
            Line2D([], [], color="0.3", marker=marker, linestyle="none", markerfacecolor="none",
                   markersize=5, label=level)
            for level, marker in LEVEL_MARKERS.items()
        ]  # fmt: skip
        figure.legend(handles=handles, frameon=False, loc="outside upper left", ncols=4,
                      handlelength=1.2, columnspacing=1.0)  # fmt: skip
        inside = sum(row["inside"] for row in rows)
        note_source(
            figure,
            [document["source"]],
            f"mean error {document['left_out_error_percent']:.1f} %; "
            f"{inside} of {len(rows)} inside the 95 % interval that the others give",
        )
    return figure
