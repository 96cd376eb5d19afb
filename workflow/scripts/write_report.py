"""One self-contained page with the tables and figures of the set-up."""

import json
from pathlib import Path

from nic_energy.config import resolve
from nic_energy.logs import log_to
from nic_energy.report.page import write_page

log_to(snakemake.log[0])
external = [Path(name) for name in snakemake.input.external_meter if name.endswith(".json")]
write_page(
    Path(snakemake.input.energy).parent,
    Path(snakemake.output[0]),
    list(snakemake.input.figures),
    resolve(json.loads(snakemake.params.config)).document["calibration"],
    external[0] if external else None,
    Path(snakemake.input.complexity),
)
