"""The list of traces that the campaign is going to have."""

import json
from pathlib import Path

from nic_energy.campaign import write_plan
from nic_energy.config import resolve
from nic_energy.images import read_index
from nic_energy.logs import log_to

log_to(snakemake.log[0])
images = [entry.image for entry in read_index(Path(snakemake.input.index))]
write_plan(Path(snakemake.output[0]), resolve(json.loads(snakemake.params.config)), images)
