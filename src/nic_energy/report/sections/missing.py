"""What is not there."""

from nic_energy.report.blocks import Block, Table
from nic_energy.report.context import Context
from nic_energy.report.grids import MISSING_VIEW, grid
from nic_energy.report.sections import Section


def body(context: Context) -> list[Block]:
    """The modalities without an energy and why; nothing where all are there."""
    missing = context.results.missing
    if missing.empty:
        return []
    return [Table(grid(missing, MISSING_VIEW), "Modalities without an energy", of_joules=False)]


SECTION = Section(170, "missing", "Missing", body)
