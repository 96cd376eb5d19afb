"""The tables of the paper for this set-up, as CSV, LaTeX and HTML."""

from pathlib import Path

from nic_energy import tables
from nic_energy.logs import log_to
from nic_energy.typeset import write_table
from nic_energy.typeset.paper import paper_tables

log_to(snakemake.log[0])
for table in paper_tables(
    tables.read_csv(Path(snakemake.input.comparison), tables.COMPARISON_COLUMNS),
    tables.read_csv(Path(snakemake.input.predictors), tables.PREDICTOR_COLUMNS),
    tables.read_csv(Path(snakemake.input.complexity), tables.COMPLEXITY_COLUMNS),
):
    write_table(table, Path(snakemake.output[0]).parent)
