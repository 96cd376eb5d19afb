"""Small campaigns on virtual GPUs, laid out as the workflow lays them out."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nic_energy import tables
from nic_energy.analysis import Inputs, derive
from nic_energy.complexity import count_all
from nic_energy.config import Config, resolve
from nic_energy.config.merge import overlay
from nic_energy.files import write_json
from nic_energy.images import index_images, prepare_image, write_index
from nic_energy.measure.simulate import simulate_campaign

NETWORKS = """network\tabbreviation\tlow\thigh\tpad_multiple\tfactory
bmshj2018-factorized\tBfac\t1\t8\t16\tcompressai
mbt2018-mean\tMmean\t1\t8\t128\tcompressai
"""
SIZES = "image,width,height\nsmall,320,240\nmiddle,640,480\nlarge,1024,768\nwide,1200,300\n"
CONFIG: Mapping[str, Any] = {
    "setup": "lab-a",
    "device": "virtual",
    "meter": "virtual",
    "weights": "random",
    "passport": False,
    "networks_table": "networks.tsv",
    "networks": [{"name": "bmshj2018-factorized"}, {"name": "mbt2018-mean", "qualities": [8]}],
    "images": {
        "collection": "sizes",
        "source": "sizes",
        "path": "sizes.csv",
        "url": None,
        "md5": None,
        "count": None,
        "pixel_sum": None,
    },
    "protocol": {
        "idle_s": 4,
        "idle_settle_max_s": 0,
        "paired_settle_max_s": 0,
        "context_idle_s": 0.5,
        "paired_idle_s": 0.5,
        "preheat_celsius": None,
        "min_duration_s": 0.5,
        "lead_in_s": 0.5,
        "min_repetitions": 3,
        "max_repetitions": 3,
    },
    "publication": {"lab": "Lab A", "licence": "CC-BY-4.0"},
}


@dataclass(frozen=True)
class Lab:
    """A working directory with a finished campaign in it."""

    root: Path
    config: Config

    @property
    def folder(self) -> Path:
        """`results/{setup}`."""
        return self.root / "results" / self.config.setup

    @property
    def inputs(self) -> Inputs:
        """What its tables are made of."""
        index = self.root / "results/images/sizes/index.csv"
        return Inputs(self.folder, index, self.root / "results/complexity.csv")

    def derive(self) -> None:
        """Bring the tables up to date."""
        derive(self.config, self.inputs, self.folder)


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """With the folder as working directory."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def lab(root: Path, sizes: str = SIZES, **changes: Any) -> Lab:
    """Measure a campaign on a virtual GPU and derive its tables."""
    document = overlay(CONFIG, changes)
    root.mkdir(parents=True, exist_ok=True)
    (root / "networks.tsv").write_text(NETWORKS)
    (root / "sizes.csv").write_text(sizes)
    with inside(root):
        config = resolve(document)
        results = Path("results")
        entries = index_images(config.images, None)
        write_index(results / "images/sizes/index.csv", entries)
        images = {}
        for entry in entries:
            images[entry.image] = results / f"images/sizes/png/{entry.image}.png"
            prepare_image(entry, config.images, None, images[entry.image])
        write_json(results / config.setup / "config.json", document)
        simulate_campaign(config, images, results / config.setup)
        counted(config, results)
        found = Lab(root, config)
        found.derive()
    return found


def counted(config: Config, results: Path) -> None:
    """complexity.csv and complexity_layers.csv, counted once a process and networks table."""
    key = tuple(config.networks)
    if key not in COUNTS:
        COUNTS[key] = count_all(config.networks)
    summary, layers = COUNTS[key]
    tables.write_csv(results / "complexity.csv", tables.frame(summary, tables.COMPLEXITY_COLUMNS))
    tables.write_csv(
        results / "complexity_layers.csv", tables.frame(layers, tables.COMPLEXITY_LAYER_COLUMNS)
    )


COUNTS: dict[tuple[str, ...], Any] = {}
