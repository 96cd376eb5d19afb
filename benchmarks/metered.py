"""Virtual campaigns with a virtual meter beside them, whose gain and offset are known."""

import csv
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.campaigns import configuration, grey_images, scratch, sensor_gain
from benchmarks.wall_meter import OPTIONS, WallMeter, watched, write_log
from nic_energy.analysis import analysis_of
from nic_energy.calibration.campaign import Comparison, Request, compare_campaign
from nic_energy.calibration.fit import MeterSpec
from nic_energy.config import Config
from nic_energy.energy.build import build_energy
from nic_energy.external import layout_of, read_log
from nic_energy.measure.simulate import simulate_campaign
from nic_energy.meters.virtual import VirtualGpu, read_preset
from nic_energy.meters.virtual.workload import COLUMNS, workload_file
from nic_energy.vocabulary import Sees

POWERS_W = (45, 83, 55, 102, 64, 121, 74, 140, 93, 131, 112, 150)
"""Dynamic power of the twelve networks and levels, in the order of the workload: networks of
different size load a GPU differently, and without that no line could be fitted."""

METER_PERCENT, METER_W = 0.05, 0.05
"""Standard uncertainties that the virtual meters state, and by which they really are wrong."""

BOARD = WallMeter()
PLUG = WallMeter(
    efficiency=0.9, host_w=55.0, host_load_w=12.0, wander_w=1.5, wander_s=600.0, drift=60e-6
)
PLACES: Mapping[Sees, str] = {"board": "at the board", "machine": "at the plug"}
METERS: Mapping[Sees, WallMeter] = {"board": BOARD, "machine": PLUG}


@dataclass(frozen=True)
class Campaign:
    """A virtual campaign that was measured; `gpus` know its true power."""

    config: Config
    folder: Path
    traces: Sequence[Path]
    gpus: Sequence[VirtualGpu]
    energy: pd.DataFrame


@dataclass(frozen=True)
class Truth:
    """Gain and offset of the sensor against what a meter would read without error."""

    gain: float
    offset_w: float


def write_workload(path: Path) -> None:
    """The workload `table2` with other powers."""
    with workload_file("table2").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    for row, power in zip(rows, POWERS_W, strict=True):
        row["dynamic_power_w"] = str(power)
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


@contextmanager
def measured(
    gpu: str, seed: int, sizes: Mapping[str, tuple[int, int]], **changes: Any
) -> Iterator[Campaign]:
    """Measure all networks and qualities on images of these sizes, in a scratch folder."""
    with scratch() as folder:
        write_workload(folder / "workload.csv")
        virtual = {"workload": str(folder / "workload.csv"), "residual_seed": seed}
        config = configuration(gpu, seed=seed, virtual=virtual, **changes)
        logging.disable(logging.WARNING)
        try:
            with watched() as gpus:
                traces = simulate_campaign(config, grey_images(sizes, folder), folder)
            idle = folder / "reference" / "idle.parquet"
            tables = build_energy(traces, idle, config.settings(), analysis_of(config))
        finally:
            logging.disable(logging.NOTSET)
        yield Campaign(config, folder, traces, gpus, tables.energy)


def truth(campaign: Campaign, meter: WallMeter) -> Truth:
    """What the fit should find: a meter at the plug sees the board through the power supply, and
    during the windows the host's power under load.
    """
    preset = read_preset(campaign.config.document["virtual"]["gpu"])
    gain = sensor_gain(preset) * meter.efficiency
    host_w = meter.host_w + meter.host_load_w
    return Truth(gain, preset.sensors[0].offset_w - gain * host_w)


def compared(
    campaign: Campaign, sees: Sees, seed: int, path: Path, **changes: Any
) -> tuple[Comparison, WallMeter]:
    """Put a meter beside the campaign, write its log, compare.

    The meter is wrong by errors of its own, drawn with the uncertainties that it states.
    """
    random = np.random.default_rng([seed, 0xCA1])
    meter = replace(
        METERS[sees],
        gain_error=METER_PERCENT / 100 * random.standard_normal(),
        offset_error_w=METER_W * random.standard_normal(),
        **changes,
    )
    write_log(path, meter, campaign.gpus, seed)
    spec = MeterSpec(f"the virtual meter {PLACES[sees]}", sees, METER_PERCENT, METER_W)
    return compare_campaign(campaign.energy, request(campaign, path, spec)), meter


def request(campaign: Campaign, path: Path, meter: MeterSpec, **options: Any) -> Request:
    """The comparison of a campaign with a log that `write_log` wrote."""
    log = read_log(path, layout_of({**OPTIONS, **options}))
    return Request(log, meter, "auto", "trapezoid", traces=campaign.traces)
