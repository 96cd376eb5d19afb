"""Two logs of the same load over time, their clocks brought together."""

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nic_energy.calibration.logs import ColumnComparison, LogComparison
from nic_energy.calibration.records import of_log
from nic_energy.external import PowerLog
from nic_energy.figures.style import BLACK, COLUMN_IN, RULES, SERIES

HEIGHT_IN = 3.4
MOST_POINTS = 20_000
MARGIN = 0.02


def plot(
    log: PowerLog, reference: PowerLog, found: LogComparison, reference_column: str | None = None
) -> Figure:
    """Power over time of the reference and of every compared column, and the energy that each has
    lost or won on the reference since the overlap began.
    """
    meter = of_log(reference, reference_column)
    records = {
        each.column: of_log(log, each.column).shifted(-found.offset_s) for each in found.columns
    }
    start = max(meter.start_s, *(record.start_s for record in records.values()))
    end = min(meter.end_s, *(record.end_s for record in records.values()))
    time = np.linspace(start, end, MOST_POINTS)
    with mpl.rc_context(RULES):
        figure = Figure(figsize=(COLUMN_IN, HEIGHT_IN), layout="constrained")
        FigureCanvasAgg(figure)
        power, energy = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        name = reference.name(reference_column)
        edges = np.linspace(start, end, min(MOST_POINTS, int((end - start) / 0.02) + 2))
        power.plot(
            (edges[1:] + edges[:-1]) / 2 - start, meter.mean_w(edges[:-1], edges[1:]),
            color="0.6", linewidth=0.7, label=f"{name} (reference)",
        )  # fmt: skip
        for colour, each in zip(SERIES * 3, _distinct(found), strict=False):
            record = records[each.column]
            label = _label(each.column, found)
            power.plot(time - start, record.power_w(time), color=colour, label=label)
            won = record.energy_j(time) - meter.energy_j(time)
            energy.plot(time - start, won - won[0], color=colour)
        energy.axhline(0.0, color=BLACK, linewidth=0.6)
        power.set_ylabel("Power (W)")
        power.set_ylim(bottom=0)
        energy.set_ylabel("Energy less\nreference (J)")
        energy.set_xlabel("Time since the overlap began (s)")
        power.margins(x=MARGIN)
        figure.legend(frameon=False, loc="outside upper left", handlelength=1.6, ncols=1)
        figure.align_ylabels()
    return figure


def _distinct(found: LogComparison) -> list[ColumnComparison]:
    """Columns, without those that are the same as one before."""
    seen: set[tuple[float, float]] = set()
    kept = []
    for each in found.columns:
        if (each.energy_j, each.correlation) not in seen:
            seen.add((each.energy_j, each.correlation))
            kept.append(each)
    return kept


def _label(column: str, found: LogComparison) -> str:
    own = next(each for each in found.columns if each.column == column)
    same = [
        each.column
        for each in found.columns
        if (each.energy_j, each.correlation) == (own.energy_j, own.correlation)
    ]
    averaged = f", averages over about {own.window_s:.3g} s" if own.averages else ""
    return f"{', '.join(same)}:\nenergy {own.ratio:.3f} of the reference's{averaged}"
