"""Tables for papers and pages: values rounded by their uncertainty, as LaTeX and HTML."""

from nic_energy.typeset.table import PrintTable, write_table

__all__ = ["PrintTable", "write_table"]
