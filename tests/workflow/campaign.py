"""A small campaign in a folder of its own, run by Snakemake itself."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from nic_energy import cublas
from nic_energy.config import project_root
from nic_energy.config.merge import overlay
from tests.images.pictures import picture

ROOT = project_root()

TABLE = """network\tabbreviation\tlow\thigh\tpad_multiple\tfactory
tiny\tTiny\t1-2\t3-4\t4\ttests.workflow.tiny:build
other\tOther\t1\t2\t8\ttests.workflow.tiny:build
slow\tSlow\t1\t2\t4\ttests.workflow.tiny:slow
broken\tBroken\t1\t2\t4\ttests.workflow.tiny:broken
"""

CONFIG: dict[str, Any] = {
    "setup": "small",
    "device": "cpu",
    "meter": "cpu_load",
    "weights": "random",
    "networks_table": "networks.tsv",
    "networks": [{"name": "tiny", "qualities": [1, 3]}],
    "images": {
        "collection": "photos",
        "source": "folder",
        "path": "photos",
        "url": None,
        "md5": None,
        "count": None,
        "pixel_sum": None,
    },
    "worker": {"enabled": False, "idle_s": 240},
    "anchor": {"every": 0},
    "protocol": {
        "idle_s": 0.5,
        "idle_settle_max_s": 0,
        "context_idle_s": 0.1,
        "paired_idle_s": 0.1,
        "paired_settle_max_s": 0,
        "preheat_celsius": None,
        "min_duration_s": 0.1,
        "lead_in_s": 0,
        "sampling_hz": 100,
        "relative_width": 1,
        "min_repetitions": 2,
        "max_repetitions": 2,
    },
}
SIZES = ((64, 48), (96, 64), (128, 96))


@dataclass
class Campaign:
    """The folder, its configuration, and how to run it."""

    folder: Path
    config: dict[str, Any] = field(default_factory=lambda: dict(CONFIG))
    environment: dict[str, str] = field(default_factory=dict)

    def prepare(self) -> "Campaign":
        """Write the networks table, three images and the configuration."""
        (self.folder / "photos").mkdir()
        (self.folder / "networks.tsv").write_text(TABLE)
        for number, size in enumerate(SIZES):
            picture(*size).save(self.folder / "photos" / f"image{number}.png")
        self.configure()
        return self

    def configure(self, **changes: Any) -> None:
        """Change keys of the configuration; mappings are merged."""
        self.config = overlay(self.config, changes)
        (self.folder / "campaign.yaml").write_text(yaml.safe_dump(self.config))

    def command(self, *arguments: str) -> list[str]:
        """The Snakemake command; every job is printed, which profiles/default leaves out."""
        said = () if "--quiet" in arguments else ("--quiet", "host")
        return [
            str(Path(sys.executable).with_name("snakemake")),
            *arguments,
            "--snakefile", str(ROOT / "Snakefile"),
            "--directory", str(self.folder),
            "--configfile", str(self.folder / "campaign.yaml"),
            "--cores", "1",
            "--resources", "gpu=1",
            *said,
        ]  # fmt: skip

    def env(self) -> dict[str, str]:
        """The environment of a run: the package's commands and these tests can be found.

        Coverage is not traced in it: what runs there has tests of its own. What importing the
        package set in this process is no user's.
        """
        left_out = ("COVERAGE_PROCESS", cublas.VARIABLE)
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(left_out)}
        return {
            **inherited,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
            "PYTHONWARNINGS": "ignore",
            "XDG_RUNTIME_DIR": str(self.folder),
            "TINY_BROKEN": str(self.folder / "broken"),
            **self.environment,
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run to the end, whatever the outcome; stdout and stderr come together."""
        return subprocess.run(
            self.command(*arguments),
            env=self.env(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )

    def succeed(self, *arguments: str) -> str:
        """Run, and fail the test with the output if the run fails."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def planned(self, *arguments: str) -> dict[str, int]:
        """Jobs that a dry run lists, per rule."""
        text = self.succeed(*arguments, "--dry-run", "--quiet", "rules") + self.succeed(
            *arguments, "--dry-run"
        )
        return jobs(text)

    def results(self) -> Path:
        """The results of the set-up."""
        return self.folder / "results" / str(self.config["setup"])

    def traces(self) -> list[Path]:
        """Accepted traces."""
        return sorted((self.results() / "traces").rglob("*.parquet"))

    def attempts(self) -> list[Path]:
        """Attempts at modalities in the raw store."""
        return sorted((self.results() / "raw" / "chain").rglob("*.parquet"))

    def forget_snakemake(self) -> None:
        """Lose what Snakemake itself remembers."""
        shutil.rmtree(self.folder / ".snakemake")


def jobs(text: str) -> dict[str, int]:
    """The table `job count` of a run."""
    found = re.search(r"job\s+count\n-+\s+-+\n(.*?)\n\n", text, re.DOTALL)
    if not found:
        return {}
    counts = (line.split() for line in found[1].splitlines())
    return {rule: int(count) for rule, count in counts if rule != "total"}
