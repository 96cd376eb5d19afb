"""The energies in short."""

import pandas as pd

from nic_energy.report.blocks import Block, Table
from nic_energy.report.context import Context
from nic_energy.report.grids import SUMMARY_VIEW, grid
from nic_energy.report.sections import Section


def body(context: Context) -> list[Block]:
    """Least, median and most by network and level."""
    table = summarise(context.results.energy)
    return [Table(grid(table, SUMMARY_VIEW), "Energies of one execution by network and level")]


def summarise(energy: pd.DataFrame) -> pd.DataFrame:
    """Least, median and most energy per network and level."""
    groups = energy.groupby(["network", "level"], sort=False)
    return groups.agg(
        modalities=("energy_j", "size"),
        least_j=("energy_j", "min"),
        median_j=("energy_j", "median"),
        most_j=("energy_j", "max"),
        half_width=("ci_half_width_percent", "median"),
        duration_s=("duration_s", "median"),
    ).reset_index()


SECTION = Section(150, "energies", "Energies by network and level", body)
