"""Virtual campaigns for the benchmarks: configuration, images, and their evaluation."""

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nic_energy.config import Config, resolve
from nic_energy.energy.build import Analysis, EnergyTables, build_energy
from nic_energy.measure.backends import STATE
from nic_energy.measure.simulate import simulate_campaign
from nic_energy.measure.virtual import VirtualBackend
from nic_energy.measure.workshop import Workshop
from nic_energy.meters.virtual import Preset, VirtualGpu
from nic_energy.traces import TraceMeta, read_meta

PRESETS = ("turing", "turing_20ms", "a100", "ampere", "ada", "hopper")


def configuration(gpu: str, **changes: Any) -> Config:
    """A campaign on a virtual GPU; `virtual` and `protocol` are merged, other keys replaced."""
    document = {
        "setup": "virtual",
        "device": "virtual",
        "meter": "virtual",
        "weights": "random",
        **changes,
        "virtual": {"gpu": gpu, **changes.get("virtual", {})},
    }
    return resolve(document)


def sensor_gain(preset: Preset) -> float:
    """The gain of a preset's sensor, the same for all its columns."""
    return preset.sensors[0].gain


def grey_images(sizes: Mapping[str, tuple[int, int]], folder: Path) -> dict[str, Path]:
    """Plain images of these sizes: a virtual GPU looks at nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for name, size in sizes.items():
        paths[name] = folder / f"{name}.png"
        Image.new("L", size).save(paths[name])
    return paths


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder for one campaign, in memory where the system has such a place; alone in its parent,
    since virtual GPUs below one parent are neighbours in one machine and wait for one another.
    """
    memory = Path("/dev/shm")
    parent = str(memory) if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="nic-energy-", dir=parent) as name:
        folder = Path(name) / "campaign"
        folder.mkdir()
        yield folder


class _Watched(Workshop):
    """Keeps the virtual GPUs that were opened, each with the span of virtual time that it knows:
    what the thermometer shows in whole kelvins, their timelines know exactly.
    """

    def __init__(self) -> None:
        self.opened: list[tuple[float, VirtualGpu]] = []

    def open(self, settings: Mapping[str, Any], setup_folder: Path) -> VirtualBackend:
        """The virtual GPU of the settings."""
        backend = VirtualBackend(settings, setup_folder / STATE)
        self.opened.append((backend.gpu.now(), backend.gpu))
        return backend

    def gpu_at(self, time_s: float) -> VirtualGpu:
        """The one that was open at a time."""
        return next(gpu for begin, gpu in self.opened if begin <= time_s <= gpu.now())


def true_energy_j(gpu: VirtualGpu, meta: TraceMeta) -> float:
    """True energy of an execution in J, by definition of the measurand at the temperature that
    the chip really had in the windows that count.
    """
    work, preset = meta.run["truth"], gpu.preset
    marks = [(w.start_s + w.end_s) / 2 for w in meta.windows if w.admissible]
    really_c = float(gpu.timeline.temperature_c(np.array(marks)).mean())
    power_w = work["energy_j"] / work["duration_s"]
    cooler_k = preset.settled_c(preset.idle_w + power_w) - really_c
    return float(work["energy_j"] - preset.leakage_w_per_k * cooler_k * work["duration_s"])


def simulate(
    config: Config, images: Mapping[str, Path], analyses: Sequence[Analysis]
) -> tuple[list[EnergyTables], dict[tuple[str, int, str], float]]:
    """Measure a campaign and evaluate it.

    Returns:
        The tables of each analysis, and the true energy in J per (network, quality, image).
    """
    logging.disable(logging.WARNING)
    workshop, truth = _Watched(), {}
    with scratch() as folder:
        traces = simulate_campaign(config, images, folder, workshop=workshop)
        idle = folder / "reference" / "idle.parquet"
        tables = [build_energy(traces, idle, config.settings(), each) for each in analyses]
        for meta in map(read_meta, traces):
            assert meta.modality is not None
            key = (meta.modality.network, meta.modality.quality, meta.modality.image.image)
            truth[key] = true_energy_j(workshop.gpu_at(meta.windows[0].start_s), meta)
    return tables, truth


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int = 1) -> str:
    """A Markdown table; all but the first columns are numbers, to the right."""
    rule = ["---"] * text_columns + ["---:"] * (len(head) - text_columns)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *rows))
