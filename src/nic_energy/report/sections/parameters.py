"""Energy per pixel beside what is known of the networks."""

from nic_energy.report.blocks import Block, Table
from nic_energy.report.context import Context
from nic_energy.report.grids import printed_grid
from nic_energy.report.sections import Section
from nic_energy.typeset.paper import predictor_table


def body(context: Context) -> list[Block]:
    """The correlation with every network parameter."""
    table = predictor_table(context.results.predictors)
    return [Table(printed_grid(table), table.caption, notes=list(table.notes))]


SECTION = Section(80, "parameters", "Energy per pixel and network parameters", body)
