"""The sensor beside an external meter, with residuals."""

import json
from pathlib import Path

from nic_energy import tables
from nic_energy.figures import external_meter, save
from nic_energy.logs import log_to

log_to(snakemake.log[0])
runs = tables.read_csv(Path(snakemake.input.runs), tables.EXTERNAL_METER_COLUMNS)
summary = json.loads(Path(snakemake.input.summary).read_text(encoding="utf-8"))
save(external_meter.plot(runs, summary), Path(snakemake.output.svg).with_suffix(""))
