"""What the uncertainty of the energies is made of."""

from pathlib import Path

from nic_energy import tables
from nic_energy.figures import save, uncertainty_budget
from nic_energy.logs import log_to

log_to(snakemake.log[0])
energy = tables.read_csv(Path(snakemake.input.energy), tables.ENERGY_COLUMNS)
save(uncertainty_budget.plot(energy), Path(snakemake.output.svg).with_suffix(""))
