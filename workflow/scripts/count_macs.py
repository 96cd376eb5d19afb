"""MAC operations of every network and quality of the networks table."""

from pathlib import Path

from nic_energy import complexity, tables
from nic_energy.config import read_networks
from nic_energy.logs import log_to

log_to(snakemake.log[0])
summary, layers = complexity.count_all(read_networks(Path(snakemake.input.networks)))
tables.write_csv(Path(snakemake.output.summary), tables.frame(summary, tables.COMPLEXITY_COLUMNS))
tables.write_csv(
    Path(snakemake.output.layers), tables.frame(layers, tables.COMPLEXITY_LAYER_COLUMNS)
)
