"""Which network needs less energy than which, as far as the measurements can tell."""

import json
from pathlib import Path

from nic_energy import tables
from nic_energy.config import resolve
from nic_energy.logs import log_to
from nic_energy.models.ranking import ranking

log_to(snakemake.log[0])
networks = resolve(json.loads(snakemake.params.config)).networks
energy = tables.read_csv(Path(snakemake.input.energy), tables.ENERGY_COLUMNS)
tables.write_csv(Path(snakemake.output[0]), ranking(energy, networks))
