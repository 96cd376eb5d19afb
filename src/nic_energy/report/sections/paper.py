"""What the paper prints, beside ours."""

from nic_energy.report.blocks import Block, Table, Text
from nic_energy.report.context import Context
from nic_energy.report.grids import printed_grid
from nic_energy.report.sections import Section
from nic_energy.typeset.paper import section4, section5, table2


def body(context: Context) -> list[Block]:
    """Table 2 and the numbers of the sections."""
    tables = [make(context.results.comparison) for make in (table2, section4, section5)]
    return [
        Text(
            "Table 2 and what sections 3 to 5 state, as printed, beside ours. The paper measured "
            "another GPU: ratios compare the GPUs, not the care of the measurement."
        ),
        *(Table(printed_grid(table), table.caption, notes=list(table.notes)) for table in tables),
    ]


SECTION = Section(100, "paper", "Beside the paper", body)
