"""Virtual campaigns for the benchmarks: configuration, images, and their evaluation."""

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from nic_energy.config import Config, resolve
from nic_energy.energy.build import Analysis, EnergyTables, build_energy
from nic_energy.measure.simulate import simulate_campaign
from nic_energy.meters.virtual import Preset, read_preset
from nic_energy.traces import read_meta

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
    """A folder for one campaign, in memory where the system has such a place."""
    memory = Path("/dev/shm")
    parent = str(memory) if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="nic-energy-", dir=parent) as name:
        yield Path(name)


def simulate(
    config: Config, images: Mapping[str, Path], analyses: Sequence[Analysis]
) -> tuple[list[EnergyTables], dict[tuple[str, int, str], float]]:
    """Measure a campaign and evaluate it.

    Returns:
        The tables of each analysis, and the true energy in J per (network, quality, image): that
        of the modality at the temperature which its windows had, as the measurand is defined.
    """
    logging.disable(logging.WARNING)
    with scratch() as folder:
        traces = simulate_campaign(config, images, folder)
        idle = folder / "reference" / "idle.parquet"
        tables = [build_energy(traces, idle, config.settings(), each) for each in analyses]
        works = [read_meta(path).run["truth"] for path in traces]
    gpu = read_preset(config.document["virtual"]["gpu"])
    truth = {}
    for row, work in zip(tables[0].energy.to_dict("records"), works, strict=True):
        power_w = work["energy_j"] / work["duration_s"]
        cooler_k = gpu.settled_c(gpu.idle_w + power_w) - row["temperature_c"]
        less_j = gpu.leakage_w_per_k * cooler_k * work["duration_s"]
        truth[row["network"], row["quality"], row["image"]] = work["energy_j"] - less_j
    return tables, truth


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int = 1) -> str:
    """A Markdown table; all but the first columns are numbers, to the right."""
    rule = ["---"] * text_columns + ["---:"] * (len(head) - text_columns)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *rows))
