"""The slope over complexity, Eq. (2) of the slopes."""

import pandas as pd

from nic_energy.models.uncertainty import numbers
from nic_energy.report.blocks import Block, Figures, Plot, Table, Text
from nic_energy.report.context import Context
from nic_energy.report.grids import SLOPE_VIEW, grid
from nic_energy.report.plots import LEVEL_SYMBOLS, axis, error_bars, line, points
from nic_energy.report.sections import Section

PREDICTOR = "kmac_per_pixel"
HOVER = "%{x:.4g} kMAC/px, α = %{y:.4g} J/Mpx %{customdata[0]}"


def body(context: Context) -> list[Block]:
    """The lines over every predictor, and the slopes over MACs as a plot."""
    results = context.results
    found: list[Block] = [
        Text(
            "A line through α of every network and level over each predictor; the error is "
            "in-sample. u is how far the uncertainty of α moves the line."
        ),
        Table(grid(results.slopes, SLOPE_VIEW), "Slope over complexity, a line a predictor"),
    ]
    static = context.shown("slope_over_mac")
    if results.complexity is None or results.models["alpha_j_per_pixel"].isna().all():
        return [*found, *_figures(context)]
    return [
        *found,
        Plot(
            "slope-over-mac",
            "Slope α over multiply-accumulate operations per pixel, a marker a network and level: "
            "circles high quality levels, crosses low ones; bars: 95 % interval of α. The dashed "
            "line is the fit over all networks.",
            "Scatter plot of the slope in joules per megapixel over kMAC per pixel, with its "
            "fitted line.",
            traces(results.models, results.complexity, results.slopes),
            {"xaxis": axis("MAC operations (kMAC/px)"),
             "yaxis": axis("Slope α (J/Mpx)")},
            static,
        ),
        *_figures(context, without=("slope_over_mac",)),
    ]  # fmt: skip


def _figures(context: Context, without: tuple[str, ...] = ()) -> list[Block]:
    shown = [
        figure
        for figure in context.shown("slope_over_mac", "predictor_correlations")
        if figure.stem not in without
    ]
    return [Figures(shown)] if shown else []


def traces(
    models: pd.DataFrame, complexity: pd.DataFrame, slopes: pd.DataFrame
) -> list[dict[str, object]]:
    """A marker a network and level with its interval, and the line through all."""
    levels = complexity.groupby(["network", "level"])[PREDICTOR].mean().reset_index()
    known = models.dropna(subset=["alpha_j_per_pixel"])
    table = known.merge(levels, on=["network", "level"])
    half = numbers(table, "alpha_expanded_j_per_pixel") * 1e6
    found = []
    for row, bar in zip(table.to_dict("records"), half, strict=True):
        found.append(
            points(
                str(row["network"]),
                str(row["level"]),
                [row[PREDICTOR]],
                [row["alpha_j_per_pixel"] * 1e6],
                LEVEL_SYMBOLS.get(str(row["level"]), "square-open"),
                [["" if pd.isna(bar) else f"± {bar:.2g}"]],
                HOVER,
                error_y=error_bars([bar]),
            )
        )
    fit = slopes[slopes["predictor"] == PREDICTOR].dropna(subset=["slope"])
    if len(fit) and len(table):
        slope, intercept = float(fit["slope"].iloc[0]), float(fit["intercept"].iloc[0])
        ends = [0.0, 1.05 * float(table[PREDICTOR].max())]
        line_at = [(intercept + slope * end) * 1e6 for end in ends]
        found.append(line(None, "fit over all networks", ends, line_at, "dash"))
    return found


SECTION = Section(70, "complexity", "Slope over complexity", body)
