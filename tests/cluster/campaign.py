"""A campaign of a dozen modalities on a virtual GPU, on a cluster."""

import subprocess
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from nic_energy.traces import read_meta
from tests.cluster.slurm import Slurm
from tests.workflow.campaign import ROOT, Campaign

TABLE = """network\tabbreviation\tlow\thigh\tpad_multiple\tfactory
bmshj2018-factorized\tBfac\t1\t8\t16\tcompressai
mbt2018-mean\tMmean\t1\t8\t128\tcompressai
"""
SIZES = "image,width,height\nsmall,320,240\nmiddle,640,480\nlarge,1024,768\n"
DOZEN = 12


@dataclass
class ClusterCampaign(Campaign):
    """The folder, its configuration, and how it is run on the cluster."""

    cluster: Slurm | None = None
    profile: Path = ROOT / "profiles" / "slurm"

    def prepare(self) -> "ClusterCampaign":
        """Two networks at two quality levels on three sizes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "networks.tsv").write_text(TABLE)
        (self.folder / "sizes.csv").write_text(SIZES)
        self.configure(
            device="virtual",
            meter="virtual",
            passport=False,
            networks=[{"name": name, "qualities": [1, 8]}
                      for name in ("bmshj2018-factorized", "mbt2018-mean")],
            images={"collection": "sizes", "source": "sizes", "path": "sizes.csv"},
            protocol={"sampling_hz": 10, "min_duration_s": 2, "min_repetitions": 3,
                      "max_repetitions": 5, "idle_s": 10},
        )  # fmt: skip
        return self

    def prepare_on_processors(self) -> "ClusterCampaign":
        """One image, a network of a millisecond, and one that stops or stays as a test says."""
        self.folder.mkdir(parents=True, exist_ok=True)
        Campaign.prepare(self)
        with (self.folder / "networks.tsv").open("a") as table:
            table.write("lingering\tLinger\t1\t2\t4\ttests.cluster.networks:lingering\n")
        self.environment["LINGERING"] = str(self.folder / "lingering")
        self.configure(images={"select": 1})
        return self

    def env(self) -> dict[str, str]:
        """The environment of a run, with the cluster in it."""
        assert self.cluster is not None
        found, slurm = super().env(), self.cluster.environment()
        path = f"{self.cluster.root / 'bin'}:{found['PATH']}"
        return {**slurm, **found, "SLURM_CONF": slurm["SLURM_CONF"], "PATH": path}

    def prepare_images(self) -> None:
        """What needs no GPU and may need a network, on this machine."""
        done = subprocess.run(
            [*super().command("images"), "--quiet", "all"],
            env=self.env(),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def command(self, *arguments: str) -> list[str]:
        """The Snakemake command: profiles/slurm, asking for the state of jobs more often, and with
        all measurements in the queue at once: what keeps them apart is the program's own lock.
        """
        own = super().command(*arguments)
        return [
            *own[: own.index("--cores")],
            "--resources", f"gpu={DOZEN}",
            "--workflow-profile", str(self.profile),
            "--slurm-init-seconds-before-status-checks", "1",
            "--cores", "1",
            "--default-resources", "mem_mb=1000", "runtime=10",
        ]  # fmt: skip

    def begin(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a run; stdout and stderr go to run.log in the folder."""
        with (self.folder / "run.log").open("a") as log:
            return subprocess.Popen(
                self.command(*arguments),
                env=self.env(),
                stdout=log,
                stderr=log,
                text=True,
                start_new_session=True,
            )

    def submit(self, *options: str) -> str:
        """Submit the campaign as one allocation, with options of sbatch; the id of the job."""
        assert self.cluster is not None
        done = subprocess.run(
            [
                "sbatch", "--parsable", "--cpus-per-task=1", "--mem=2G", "--time=30", *options,
                str(ROOT / "profiles" / "slurm" / "campaign.sh"),
                "results/small/energy.csv",
                "--snakefile", str(ROOT / "Snakefile"),
                "--configfile", "campaign.yaml",
            ],
            env={**self.env(), "TMPDIR": str(self.folder)},
            cwd=self.folder,
            capture_output=True,
            text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def said(self) -> str:
        """What the allocations said."""
        path = self.folder / "nic-energy-nic-energy.log"
        return path.read_text() if path.exists() else ""

    def log(self) -> str:
        """What the runs said."""
        return (self.folder / "run.log").read_text()

    def accepted(self) -> dict[str, int]:
        """Traces that are there, with the inode of the attempt that each is a link to."""
        base = self.results() / "traces"
        return {str(path.relative_to(base)): path.stat().st_ino for path in self.traces()}


def windows(paths: list[Path]) -> list[tuple[float, float]]:
    """From the start of the first window to the end of the last, of every attempt with windows.

    Times are those of the virtual GPU's own clock, which goes on from attempt to attempt: two that
    ran at once would have begun at one time.
    """
    metas = [read_meta(path) for path in paths]
    return sorted((m.windows[0].start_s, m.windows[-1].end_s) for m in metas if m.windows)


def overlaps(spans: list[tuple[float, float]]) -> list[tuple[tuple[float, float], ...]]:
    """Pairs that follow one another and overlap."""
    return [(a, b) for a, b in pairwise(spans) if b[0] < a[1]]
