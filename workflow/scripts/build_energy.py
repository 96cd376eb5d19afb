"""Energies of all modalities from their traces, Eq. (1)."""

import json
from pathlib import Path

from nic_energy import tables
from nic_energy.analysis import energy_tables
from nic_energy.config import resolve
from nic_energy.logs import log_to

log_to(snakemake.log[0])
index = Path(snakemake.input.index) if snakemake.input.get("index") else None
found = energy_tables(resolve(json.loads(snakemake.params.config)), index, snakemake.threads)
tables.write_csv(Path(snakemake.output.energy), found.energy)
tables.write_parquet(Path(snakemake.output.parquet), found.energy)
tables.write_csv(Path(snakemake.output.estimators), found.estimators)
tables.write_csv(Path(snakemake.output.missing), found.missing)
tables.write_csv(Path(snakemake.output.idle), found.idle)
tables.write_csv(Path(snakemake.output.diagnostics), found.diagnostics)
