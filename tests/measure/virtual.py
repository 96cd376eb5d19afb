"""Campaigns on the virtual GPU for tests."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from nic_energy.config import Config, resolve
from nic_energy.energy.build import Analysis, EnergyTables, build_energy
from nic_energy.energy.estimates import Calibration
from nic_energy.measure.simulate import simulate_campaign
from nic_energy.meters.virtual import read_preset
from nic_energy.traces import Trace, TraceMeta, read_meta, read_trace

TWO_NETWORKS = [
    {"name": "bmshj2018-factorized", "qualities": [3]},
    {"name": "cheng2020-anchor", "qualities": [5]},
]
SIZES = {"small": (640, 480), "large": (1600, 1200)}
ONE_IMAGE = {"only": (640, 480)}

QUICK: Mapping[str, Any] = {
    "idle_s": 10,
    "idle_settle_max_s": 10,
    "paired_settle_max_s": 2,
    "preheat_celsius": None,
    "temperature_band_celsius": 100,
    "max_repetitions": 6,
}
"""A protocol of a minute, on a chip that is still cold. The idle reference is over 21 s after its
opening, so that a fault later than that is one of the modality: its windows lie at about 14, 21,
27, 34, 40 and 47 s."""


@dataclass(frozen=True)
class Campaign:
    """A simulated campaign: its configuration, its folder and its traces."""

    config: Config
    folder: Path
    paths: list[Path]

    @property
    def idle(self) -> Path:
        return self.folder / "reference" / "idle.parquet"

    @cached_property
    def traces(self) -> list[Trace]:
        return [read_trace(path) for path in self.paths]

    @cached_property
    def metas(self) -> list[TraceMeta]:
        return [read_meta(path) for path in self.paths]

    @property
    def truths(self) -> dict[tuple[str, str], Mapping[str, float]]:
        """True energy and duration of an execution by (network, image)."""
        return {
            (meta.modality.network, meta.modality.image.image): meta.run["truth"]
            for meta in self.metas
            if meta.modality is not None
        }

    def calibration(self, gain_u: float = 0.0) -> Calibration:
        sensor = read_preset(self.config.document["virtual"]["gpu"]).sensors[0]
        return Calibration(sensor.gain, gain_u, sensor.offset_w)

    def tables(self, **options: Any) -> EnergyTables:
        analysis = Analysis(**{"estimator": "trapezoid", **options})
        return build_energy(self.paths, self.idle, self.config.settings(), analysis)


def config_of(
    protocol: Mapping[str, Any] | None = None,
    virtual: Mapping[str, Any] | None = None,
    **document: Any,
) -> Config:
    return resolve(
        {
            "device": "virtual",
            "meter": "virtual",
            "networks": TWO_NETWORKS,
            "images": {"source": "folder", "path": "."},
            "protocol": {"idle_s": 30, **(protocol or {})},
            "virtual": dict(virtual or {}),
            **document,
        }
    )


def grey(folder: Path, sizes: Mapping[str, tuple[int, int]]) -> dict[str, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{name}.png" for name in sizes}
    for name, path in paths.items():
        Image.new("RGB", sizes[name], (90, 90, 90)).save(path)
    return paths


def simulated(
    folder: Path, config: Config, sizes: Mapping[str, tuple[int, int]] = SIZES
) -> Campaign:
    paths = simulate_campaign(config, grey(folder / "images", sizes), folder)
    return Campaign(config, folder, paths)


def quick(folder: Path, *faults: Mapping[str, Any]) -> Campaign:
    """One modality by the quick protocol, without run-to-run noise."""
    virtual = {"noise_percent": 0.05, "faults": [dict(fault) for fault in faults]}
    networks = [{"name": "mbt2018", "qualities": [3]}]
    config = config_of(QUICK, virtual, networks=networks)
    return simulated(folder, config, ONE_IMAGE)


def since_opening(campaign: Campaign, time_s: float) -> float:
    """A time of the first modality, counted from its opening on."""
    meta = campaign.metas[0]
    load_s: float = meta.settings["virtual"]["load_s"]
    return time_s - meta.intervals[0].start_s + load_s


def by_estimator(campaign: Campaign) -> pd.DataFrame:
    return campaign.tables().estimators.set_index("estimator")


def flags_of(campaign: Campaign) -> set[str]:
    (cell,) = campaign.tables().energy["flags"]
    return set(str(cell).split(";"))
