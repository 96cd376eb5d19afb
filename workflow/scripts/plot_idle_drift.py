"""Idle power over the time of the campaign."""

from pathlib import Path

from nic_energy import tables
from nic_energy.figures import idle_drift, save
from nic_energy.logs import log_to

log_to(snakemake.log[0])
figure = idle_drift.plot(
    tables.read_csv(Path(snakemake.input.energy), tables.ENERGY_COLUMNS),
    tables.read_csv(Path(snakemake.input.idle), tables.IDLE_COLUMNS),
)
save(figure, Path(snakemake.output.svg).with_suffix(""))
