"""What the flags say."""

from nic_energy.report.blocks import Block, Table
from nic_energy.report.context import Context
from nic_energy.report.flags import flag_grid
from nic_energy.report.sections import Section


def body(context: Context) -> list[Block]:
    """Every flag of the rows with its meaning; nothing where no row has one."""
    found = flag_grid(context.results.energy)
    return [Table(found, "Flags of the rows of energy.csv, and what they mean")] if found else []


SECTION = Section(160, "flags", "Flags", body)
