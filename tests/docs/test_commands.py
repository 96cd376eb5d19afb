"""Every command of the README and of docs/ is run, page by page, in a copy of the project.

The copy holds two set-ups, `lab` and `a100`, measured on virtual GPUs, as a reader has them who
comes to a page after measuring.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import pytest

from nic_energy import tables
from nic_energy.config import project_root
from nic_energy.files import write_json
from nic_energy.measure.status import FILE, CampaignStatus
from nic_energy.models.joint import joint_model, training_rows
from nic_energy.session import utc_now
from tests.bundle.campaigns import lab

pytestmark = pytest.mark.workflow

ROOT = project_root()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

How = Literal["not", "dry", "any"]
"""Not run; run with --dry-run, which Snakemake and make have; run, whatever the exit code says."""

GPU = "needs an NVIDIA GPU; tests/first_light rehearses it on a virtual one"
DAYS = "a campaign of minutes to days: its plan is made, nothing is measured"
NO_GPU = "its exit code says that this machine has no GPU, which is right"
HERE = "the environment that runs the tests is the one that it makes"

DOWNLOAD = "downloads; tests/cli/test_weights.py and tests/images do it from this machine"
SLURM = "needs a cluster; tests/cluster brings one up and does the same"
NAMED = "sbatch --job-name=pilot --partition=gpu --exclusive --nodelist=node01 --time=08:00:00"
WHOLE = "sbatch --nodelist=node01 --exclusive --gpus-per-node=4"

TWO = "snakemake --cores 2 --resources gpu=1 --configfile config/simulation.yaml"

EXCEPTIONS: dict[str, tuple[How, str]] = {
    "make setup": ("dry", HERE),
    "make setup && . .venv/bin/activate": ("not", HERE),
    ". .venv/bin/activate": ("not", HERE),
    "make demo": ("not", "eight minutes of what tests/workflow does in small"),
    "make cluster": ("dry", HERE),
    "make wheelhouse NODE=node.json": ("dry", DOWNLOAD),
    "make setup SITE_TORCH=1 WHEELHOUSE=wheelhouse": ("dry", HERE),
    "snakemake --workflow-profile profiles/slurm --configfile config/simulation.yaml": (
        "dry",
        SLURM,
    ),
    "sbatch profiles/slurm/campaign.sh --configfile config/simulation.yaml": ("not", SLURM),
    f"{NAMED} profiles/slurm/campaign.sh --configfile config/pilot.yaml": ("not", SLURM),
    f"{WHOLE} profiles/slurm/campaign.sh --configfile first.yaml": ("not", SLURM),
    "squeue --me": ("not", SLURM),
    "snakemake images --cores 2 --configfile config/pilot.yaml": ("dry", DOWNLOAD),
    "nic-energy weights fetch config/config.yaml config/pilot.yaml": ("not", DOWNLOAD),
    "make test": ("not", "that is what runs"),
    "make first-light": ("dry", GPU),
    "nic-energy doctor": ("any", NO_GPU),
    "nic-energy doctor config/config.yaml config/pilot.yaml": ("any", NO_GPU),
    "nic-energy doctor --device cuda:1": ("any", NO_GPU),
    "nic-energy doctor --json > doctor.json": ("any", NO_GPU),
    "snakemake --cores 1 --resources gpu=1": ("dry", DAYS),
    "snakemake --cores 1 --resources gpu=1 --configfile config/pilot.yaml": ("dry", DAYS),
    "snakemake --cores 1 --resources gpu=1 --configfile config/simulation.yaml": ("dry", DAYS),
    "snakemake --cores 1 --resources gpu=1 --config setup=lab": ("dry", DAYS),
    "snakemake --cores 1 --resources gpu=1 --config setup=a100": ("dry", DAYS),
    f"{TWO} turing.yaml": ("dry", DAYS),
    f"{TWO} ampere.yaml": ("dry", DAYS),
    "nic-energy compare turing ampere --output results/comparison": ("not", "see the line before"),
}
"""Commands that are not run as they stand, and why."""


@dataclass(frozen=True)
class Command:
    """A command of a page, without the comment after it; here-documents included."""

    page: str
    text: str

    @property
    def exception(self) -> How | None:
        found = EXCEPTIONS.get(self.text)
        return found[0] if found else None

    @property
    def script(self) -> str:
        run = {
            None: self.text,
            "not": ":",
            "dry": f"{self.text} --dry-run --quiet",
            "any": f"{self.text} || true",
        }[self.exception]
        return f"echo {_quoted('$ ' + self.text.splitlines()[0])}\n{run}\n"


FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def commands_of(page: Path) -> list[Command]:
    """The commands of a page: blocks `sh`, and the lines after `$` in blocks `console`."""
    name = page.relative_to(ROOT).as_posix()
    found = []
    for language, text in FENCED.findall(page.read_text("utf-8")):
        if language == "console":
            lines = [line[2:] for line in text.splitlines() if line.startswith("$ ")]
        elif language == "sh":
            lines = text.splitlines()
        else:
            continue
        found += [Command(name, command) for command in _split(iter(lines))]
    return found


def _split(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        command = re.sub(r"(^|\s)#.*", "", line).rstrip()
        if not command:
            continue
        mark = re.search(r"<<'(\w+)'", command)
        if mark:
            body = []
            for inner in lines:
                body.append(inner)
                if inner == mark[1]:
                    break
            command = "\n".join([command, *body])
        yield command


COMMANDS = {page: commands_of(page) for page in PAGES}
SIZES = "image,width,height\n" + "".join(
    f"size{number},{width},{height}\n"
    for number, (width, height) in enumerate(
        [(320, 240), (640, 480), (752, 500), (1024, 768), (1366, 912), (1800, 1200)]
    )
)
NETWORKS = [
    *({"name": name, "qualities": [3, 7]}
      for name in ("bmshj2018-factorized", "bmshj2018-hyperprior", "mbt2018-mean", "mbt2018")),
    *({"name": name, "qualities": [2, 5]} for name in ("cheng2020-anchor", "cheng2020-attn")),
]  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which two GPUs were measured."""
    copy = tmp_path_factory.mktemp("commands") / "nic-energy"
    ignored = shutil.ignore_patterns(
        ".git", ".venv", ".snakemake", "results", "logs", ".*_cache", "__pycache__", "*.egg-info"
    )
    shutil.copytree(ROOT, copy, ignore=ignored)
    for setup, gpu in (("lab", "turing"), ("a100", "a100")):
        found = lab(
            copy, SIZES, setup=setup, networks=NETWORKS, networks_table="config/networks.tsv",
            virtual={"gpu": gpu}, passport=False,
        )  # fmt: skip
        energy = tables.read_csv(found.folder / "energy.csv", tables.ENERGY_COLUMNS)
        complexity = tables.read_csv(found.inputs.complexity, tables.COMPLEXITY_COLUMNS)
        document, _ = joint_model(training_rows(energy, complexity, found.config.networks))
        write_json(found.folder / "models" / "joint_model.json", document)
        status = CampaignStatus(setup, "simulated", utc_now(), len(energy), len(energy))
        write_json(found.folder / FILE, asdict(status))
    codec = next(c for c in COMMANDS[ROOT / "docs/own_network.md"] if "my_codec.py" in c.text)
    subprocess.run(["bash", "-ec", codec.text], cwd=copy, check=True)
    return copy


@pytest.mark.parametrize(
    "page", [page for page in PAGES if COMMANDS[page]], ids=lambda page: page.name
)
def test_the_commands_of_a_page_do_what_it_says(page: Path, project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "nic-energy"
    shutil.copytree(project, folder)
    script = "set -eo pipefail\n" + "".join(command.script for command in COMMANDS[page])
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_PROCESS")},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(folder / "src"),
        "PYTHONWARNINGS": "ignore",
    }
    # A socket's path has to be short, which those of pytest are not.
    with tempfile.TemporaryDirectory(prefix="nic-") as run:
        done = subprocess.run(
            ["bash", "-c", script], cwd=folder, env={**environment, "XDG_RUNTIME_DIR": run},
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]


def test_every_exception_is_of_a_command_that_is_there() -> None:
    there = {command.text for commands in COMMANDS.values() for command in commands}
    assert set(EXCEPTIONS) <= there
    assert len(EXCEPTIONS) <= 28
    assert sum(how == "not" for how, _ in EXCEPTIONS.values()) <= 10


def test_every_block_says_whether_it_is_to_be_run() -> None:
    """A command in a block of no language would never be tried."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for language, block in FENCED.findall(text):
            first = "" if language or not block.strip() else block.split()[0]
            assert first not in ("nic-energy", "snakemake", "make", "pip", "$"), (page.name, block)
