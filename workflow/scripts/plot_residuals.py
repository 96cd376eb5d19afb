"""Relative residuals over pixels, per network and level."""

from pathlib import Path

from nic_energy import tables
from nic_energy.figures import residuals, save
from nic_energy.logs import log_to

log_to(snakemake.log[0])
energy = tables.read_csv(Path(snakemake.input.energy), tables.ENERGY_COLUMNS)
table = tables.read_csv(Path(snakemake.input.residuals), tables.RESIDUAL_COLUMNS)
save(residuals.plot(table, energy["source"]), Path(snakemake.output.svg).with_suffix(""))
