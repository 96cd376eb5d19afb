"""A virtual campaign in a folder of its own, run by Snakemake as a user would."""

import contextlib
import csv
import json
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.processes import Ran, environment, run, snakemake
from nic_energy.config import project_root
from nic_energy.worker.registry import stop, workers

ROOT = project_root()
FOLDER = ROOT / "build" / "benchmarks" / "budgets"
SEED = 7
FINISHED = re.compile(r"^Finished jobid: \d+ \(Rule: (\w+)\)", re.MULTILINE)
STUB = """#!/bin/sh
[ "$1" = measure ] || exec {real} "$@"
while [ "$1" != --output ]; do shift; done
: > "$2"
"""
WATCH_S = 1.0
"""A look at the memory of a campaign's processes costs some milliseconds."""


def place(name: str) -> Path:
    """Where something of that name is kept."""
    return FOLDER / name


class CampaignFolder:
    """A folder with the configuration of the paper's networks on the first `images` sizes.

    Args:
        name: of the folder.
        images: how many of the 60 image sizes.
        networks: as in the configuration; None for all networks and quality levels.
        anew: begin with an empty folder; otherwise go on with what is there.
        changes: other keys of the configuration.
    """

    def __init__(
        self,
        name: str,
        images: int,
        networks: list[Any] | None = None,
        anew: bool = True,
        **changes: Any,
    ) -> None:
        self.folder = place(name)
        if anew:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        # The address of a Unix socket has at most 107 characters.
        self.runtime = Path(f"/tmp/nic-budget-{os.getpid()}-{name}")
        self.runtime.mkdir(mode=0o700, exist_ok=True)
        self.sizes = self.folder / "sizes.csv"
        source = (ROOT / "resources" / "image_sizes_60.csv").read_text(encoding="utf-8")
        self._rows = list(csv.DictReader(source.splitlines()))
        self.write_sizes(images)
        document = {
            "setup": "simulation",
            "device": "virtual",
            "meter": "virtual",
            "weights": "random",
            "seed": SEED,
            **({"networks": networks} if networks else {}),
            "images": {
                "collection": "sizes", "source": "sizes", "path": "sizes.csv", "url": None,
                "md5": None, "count": None, "pixel_sum": None,
            },
            "virtual": {"gpu": "turing", "workload": "table2", "residual_seed": SEED},
            **changes,
        }  # fmt: skip
        text = json.dumps(document, indent=1)
        (self.folder / "campaign.yaml").write_text(text, encoding="utf-8")

    def write_sizes(self, images: int) -> None:
        """The list of image sizes: the first so many of the 60."""
        self._write(self._rows[:images])

    def add_size(self) -> None:
        """One more, which is none of the 60."""
        with self.sizes.open(encoding="utf-8", newline="") as handle:
            listed = list(csv.DictReader(handle))
        self._write([*listed, {**listed[0], "image": "added", "width": "832", "height": "640"}])

    def _write(self, rows: list[dict[str, Any]]) -> None:
        with self.sizes.open("w", encoding="utf-8", newline="") as handle:
            writer = csv.DictWriter(handle, list(self._rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    def env(self) -> dict[str, str]:
        """The environment: a runtime folder, and so workers, of its own."""
        found = environment(ROOT, XDG_RUNTIME_DIR=str(self.runtime))
        stub = self.folder / "stub"
        return {**found, "PATH": f"{stub}:{found['PATH']}"} if stub.exists() else found

    def measure_nothing(self) -> None:
        """From now on `nic-energy measure` makes an empty file, in a millisecond."""
        stub = self.folder / "stub" / "nic-energy"
        stub.parent.mkdir()
        real = Path(sys.executable).with_name("nic-energy")
        stub.write_text(STUB.format(real=real), encoding="utf-8")
        stub.chmod(0o755)

    def run(self, label: str, *arguments: str) -> Ran:
        """Snakemake with these arguments; the memory of the worker counts."""
        command = snakemake(
            *arguments, "--configfile", "campaign.yaml", snakefile=ROOT / "Snakefile"
        )
        log = self.folder / "logs" / f"{label}.txt"
        return run(command, self.folder, self.env(), log, self.folder, WATCH_S)

    def stop_worker(self) -> None:
        """Have the campaign's worker leave."""
        before = os.environ.get("XDG_RUNTIME_DIR")
        os.environ["XDG_RUNTIME_DIR"] = str(self.runtime)
        try:
            for _, status in list(workers()):
                stop(status)
        finally:
            if before is None:
                del os.environ["XDG_RUNTIME_DIR"]
            else:
                os.environ["XDG_RUNTIME_DIR"] = before

    def traces(self) -> list[Path]:
        """The accepted traces."""
        return sorted((self.folder / "results" / "simulation" / "traces").rglob("*.parquet"))


@contextlib.contextmanager
def campaign(name: str, images: int, **options: Any) -> Iterator[CampaignFolder]:
    """A campaign folder whose worker leaves in the end."""
    made = CampaignFolder(name, images, **options)
    try:
        yield made
    finally:
        made.stop_worker()
        shutil.rmtree(made.runtime, ignore_errors=True)


def jobs_run(output: str) -> Counter[str]:
    """How many jobs of each rule a run of Snakemake finished, from what it printed."""
    return Counter(FINISHED.findall(output))
