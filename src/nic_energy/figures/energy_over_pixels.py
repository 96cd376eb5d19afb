"""Energy over pixels of one network with its fitted lines, as in the paper's Fig. 2."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nic_energy.errors import InputError
from nic_energy.figures.style import LEVEL_COLOURS, LEVEL_MARKERS, RULES, canvas, note_source
from nic_energy.vocabulary import LEVELS


def _signed(value: float) -> str:
    sign = "+" if value >= 0 else "−"
    return f"{sign} {abs(value):.2g}"


def plot(energy: pd.DataFrame, models: pd.DataFrame, network: str) -> Figure:
    """One marker a modality, one line a level.

    Args:
        energy: energy.csv. models: energy_models.csv.

    Raises:
        InputError: the network has no energies.
    """
    rows = energy[energy["network"] == network]
    if rows.empty:
        raise InputError(f"energy.csv: no rows for {network}, so there is nothing to plot.")
    most = rows["pixels"].max() / 1e6
    with mpl.rc_context(RULES):
        figure, axes = canvas()
        for level in LEVELS:
            points = rows[rows["level"] == level]
            if points.empty:
                continue
            axes.plot(
                points["pixels"] / 1e6,
                points["energy_j"],
                linestyle="none",
                marker=LEVEL_MARKERS[level],
                markersize=4,
                markerfacecolor="none",
                color=LEVEL_COLOURS[level],
                label=f"{level} quality levels",
            )
            line = models[(models["network"] == network) & (models["level"] == level)]
            if len(line) and np.isfinite(alpha := float(line["alpha_j_per_pixel"].iloc[0])):
                beta = float(line["beta_j"].iloc[0])
                axes.plot(
                    [0, most],
                    [beta, beta + alpha * most * 1e6],
                    color=LEVEL_COLOURS[level],
                    label=f"{alpha * 1e6:.3g} J/Mpx · S {_signed(beta)} J",
                )
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
        axes.set_xlabel("Pixels of the image, S (Mpx)")
        axes.set_ylabel("Energy of one execution (J)")
        axes.set_title(network, loc="left")
        figure.legend(frameon=False, loc="outside upper left", handlelength=1.6, ncols=2)
        note_source(figure, rows["source"])
    return figure
