"""What a modality costs besides executions of the network and waits of the protocol.

Networks really run, on the processor. Each modality is measured by the very command that the
`measure` rule runs, one after the other: by a warm worker, then by a process each.
"""

import itertools
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.budgets import campaign as whole_campaign
from benchmarks.budgets.clocked import VARIABLE, Clocks
from benchmarks.budgets.folder import CampaignFolder, campaign
from benchmarks.budgets.report import Section, Verdict
from benchmarks.budgets.rerun import INDEX
from benchmarks.campaigns import markdown

BOUND_S = 0.25
IMAGES = 5
PROCESSES = 4
MEASURE = "nic-energy measure"
PRINTED = re.compile(rf"^\s*(?:Shell command: )?({MEASURE} .*)$", re.MULTILINE)
TABLE = """network\tabbreviation\tlow\thigh\tpad_multiple\tfactory
factorized\tBfac\t1\t8\t16\tbenchmarks.budgets.clocked:factorized
context\tMcont\t1\t8\t128\tbenchmarks.budgets.clocked:context
attention\tCattn\t1\t6\t128\tbenchmarks.budgets.clocked:attention
"""
POINTS: list[Any] = [
    {"name": "factorized", "qualities": [1, 8]},
    {"name": "context", "qualities": [1]},
    {"name": "attention", "qualities": [1]},
]
PROTOCOL: dict[str, Any] = {
    "idle_s": 1,
    "idle_settle_max_s": 0,
    "context_idle_s": 0.2,
    "paired_idle_s": 0.2,
    "paired_settle_max_s": 0,
    "preheat_celsius": None,
    "min_duration_s": 0.5,
    "lead_in_s": 0.1,
    "sampling_hz": 100,
    "relative_width": 1,
    "min_repetitions": 8,
    "max_repetitions": 8,
}
"""As many windows and samples as a modality of the paper's campaign has, ten times as fast."""

TINY = (64, 48)


@dataclass(frozen=True)
class Modality:
    """The wall time of its command, and of that what the network ran and the protocol waited, in s.
    `how` is `first` (starts the worker), `loaded` (its network comes to the device), `resident`, or
    `process`.
    """

    how: str
    wall_s: float
    ran_s: float
    waited_s: float

    @property
    def overhead_s(self) -> float:
        """All the rest."""
        return self.wall_s - self.ran_s - self.waited_s


def measure(images: int = IMAGES, processes: int = PROCESSES) -> list[Modality]:
    """Three networks at a low and a high level on `images` tiny images, by a worker; then
    `processes` of them again in processes of their own.
    """
    options = {
        "networks": POINTS,
        "device": "cpu",
        "meter": "cpu_load",
        "networks_table": "networks.tsv",
        "protocol": PROTOCOL,
        "order_blocks": 1,
    }
    with campaign("overhead", images, **options) as made:
        _shrink(made, images)
        (made.folder / "networks.tsv").write_text(TABLE, encoding="utf-8")
        commands = _commands(made, images)
        clocks = made.folder / "clocks"
        Clocks(clocks)
        found = _by_worker(made, commands, clocks)
        for command in commands[:processes]:
            alone = command.replace(MEASURE, f"{MEASURE} --no-worker --fresh", 1)
            found.append(_timed("process", alone, made, clocks))
    return found


def _shrink(made: CampaignFolder, images: int) -> None:
    rows = [f"tiny{number},{TINY[0] + 16 * number},{TINY[1]}" for number in range(images)]
    made.sizes.write_text("\n".join(["image,width,height", *rows, ""]), encoding="utf-8")


def _commands(made: CampaignFolder, images: int) -> list[str]:
    """What the `measure` rule would run, everything that it needs being there."""
    made.run("references", INDEX, "results/simulation/reference/idle.parquet")
    made.run("images", *(f"results/images/sizes/png/tiny{n}.png" for n in range(images)))
    said = made.run("commands", "--dry-run", "--printshellcmds", "--quiet", "host").output
    commands = PRINTED.findall(said)
    if not commands:
        sys.exit(f"no measurement is planned; see {made.folder / 'logs' / 'commands.txt'}")
    return sorted(commands, key=_point)


def _point(command: str) -> str:
    """Network and quality of a command, by which they are grouped."""
    words = command.split()
    return " ".join(words[words.index(name) + 1] for name in ("--network", "--quality"))


def _by_worker(made: CampaignFolder, commands: Sequence[str], clocks: Path) -> list[Modality]:
    found, seen = [], set[str]()
    for command in commands:
        how = "resident" if _point(command) in seen else "loaded" if seen else "first"
        seen.add(_point(command))
        found.append(_timed(how, command, made, clocks))
    return found


def _timed(how: str, command: str, made: CampaignFolder, clocks: Path) -> Modality:
    """Run as Snakemake does, and see what the clocks say."""
    shared = Clocks(clocks)
    environment = {**made.env(), VARIABLE: str(clocks)}
    words = command.split()
    for option in ("--output", "2>"):
        (made.folder / words[words.index(option) + 1]).parent.mkdir(parents=True, exist_ok=True)
    before, begin = shared.read(), time.perf_counter()
    done = subprocess.run(
        ["bash", "-c", f"set -euo pipefail; {command}"],
        cwd=made.folder, env=environment, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wall_s, after = time.perf_counter() - begin, shared.read()
    if done.returncode:
        sys.exit(f"{command}\n{done.stderr}")
    log = (made.folder / words[words.index("2>") + 1]).read_text(encoding="utf-8")
    waited_s = after[1] - before[1] + lock_wait_s(log)
    return Modality(how, wall_s, after[0] - before[0], waited_s)


def lock_wait_s(log: str) -> float:
    """How long a measurement waited for another one of this machine on the same device, by the
    stamps of its log.
    """
    lines = log.splitlines()
    for line, later in itertools.pairwise(lines):
        if "waiting for another measurement" in line:
            return _stamp(later) - _stamp(line)
    return 0.0


def _stamp(line: str) -> float:
    return datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f").timestamp()


def run(images: int = IMAGES, processes: int = PROCESSES) -> Section:
    """The section."""
    found = measure(images, processes)
    whole = whole_campaign.kept()
    floor_s = statistics.median(whole.floor_s) / whole.jobs if whole else None
    return section(found, floor_s)


def section(found: Sequence[Modality], floor_s: float | None) -> Section:
    """Verdict and text.

    Args:
        floor_s: what a job costs Snakemake, where that is known.
    """
    by = {how: [each for each in found if each.how == how] for how in NAMES}
    warm_s = _median(by["resident"])
    verdict = Verdict(
        "overhead a modality, warm worker, networks running on the processor",
        f"≤ {BOUND_S:g} s",
        f"{1e3 * warm_s:.0f} ms"
        + (f" + {1e3 * floor_s:.0f} ms for Snakemake's job" if floor_s is not None else ""),
        warm_s + (floor_s or 0.0) <= BOUND_S,
        "the start of the client, reading and judging the samples, and writing the trace, on a processor that has "
        "the network's threads to run as well.",
    )
    rows = [
        [
            name,
            str(len(by[how])),
            f"{_median(by[how]):.3f}",
            *(
                f"{statistics.median(getattr(each, field) for each in by[how]):.2f}"
                for field in ("wall_s", "ran_s", "waited_s")
            ),
        ]
        for how, name in NAMES.items()
        if by[how]
    ]
    head = ["modality", "n", "overhead (s)", "wall (s)", "network ran (s)", "protocol waited (s)"]
    cores = len(os.sched_getaffinity(0))
    text = TEXT.format(cores=cores, hz=PROTOCOL["sampling_hz"], k=PROTOCOL["min_repetitions"])
    return Section("Overhead a modality", (verdict,), f"{text}\n{markdown(head, rows)}")


def _median(modalities: Sequence[Modality]) -> float:
    return statistics.median(each.overhead_s for each in modalities) if modalities else 0.0


NAMES = {
    "resident": "warm worker, network on the device",
    "loaded": "warm worker, network comes to the device",
    "first": "the first, which starts the worker",
    "process": "a process of its own (`--no-worker`)",
}
TEXT = """bmshj2018-factorized (low and high), mbt2018 and cheng2020-attn, random weights, images of some thousand pixels, on {cores} cores, {k} windows at {hz} Hz: as many windows and samples as a modality of the paper's campaign, ten
times as fast. Each is measured by the command that the `measure` rule runs, from the start of its shell to its end. A clock around every call of the network sums up how long it ran, another how long the protocol waited (idle, random rest, the
last readings); the rest is overhead. Medians. A network is loaded once a campaign where the device's memory allows (`worker.memory_mb`).
"""
