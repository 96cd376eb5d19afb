"""Energies of all modalities, Eq. (1), from their traces or from a table that was brought."""

import json
from pathlib import Path

from nic_energy import tables
from nic_energy.analysis import ENERGY_FILES, brought_tables, energy_tables
from nic_energy.config import resolve
from nic_energy.logs import log_to

log_to(snakemake.log[0])
config, given = resolve(json.loads(snakemake.params.config)), snakemake.input
if given.get("table"):
    found = brought_tables(config, Path(given.complexity))
else:
    found = energy_tables(config, Path(given.index), workers=snakemake.threads)
tables.write_parquet(Path(snakemake.output.parquet), found.energy)
for name in ENERGY_FILES:
    tables.write_csv(Path(snakemake.output[name]), getattr(found, name))
