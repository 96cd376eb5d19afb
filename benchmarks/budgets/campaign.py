"""The whole campaign through Snakemake on the virtual GPU, against the same graph of `touch` jobs."""

import json
import re
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from benchmarks.budgets import floor
from benchmarks.budgets.folder import campaign, jobs_run, place
from benchmarks.budgets.report import Section, Verdict
from benchmarks.campaigns import markdown
from nic_energy.files import write_text

IMAGES = 60
BARE_IMAGES = 10
FLOOR_RUNS = 3
RATIO = 3.0
MEMORY_MIB = 2048.0
INDEX = "results/images/sizes/index.csv"
ALONE = frozenset({"measure", "measure_idle", "measure_passport"})
NAME, FLOOR, DRY_FLOOR, RECORD = "campaign", "campaign-floor", "dry-floor", "campaign.json"
STAMP = re.compile(
    r"^\[(\w{3} \w{3} +\d+ \d\d:\d\d:\d\d \d{4})\]\nFinished jobid: \d+ \(Rule: (\w+)\)",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Whole:
    """The campaign once, the floor several times. `points` are its network-quality pairs.

    `measuring_s` is from the job before the first of `measure` to the end of the last one;
    `bare_ms` what one of those jobs takes with a program in its place that does nothing, so that
    Snakemake's share with these rules is left, on fewer images.
    """

    modalities: int
    points: int
    jobs: int
    edges: int
    wall_s: float
    measuring_s: float
    bare_ms: float
    peak_mib: float
    floor_s: Sequence[float]
    floor_peak_mib: float

    @property
    def ratio(self) -> float:
        """Against the median of the floor."""
        return self.wall_s / statistics.median(self.floor_s)


def measure(
    images: int = IMAGES, floor_runs: int = FLOOR_RUNS, networks: list[Any] | None = None
) -> Whole:
    """Run the campaign on the first `images` sizes, and its floor; both are left in place."""
    with campaign(NAME, images, networks=networks) as made:
        whole = made.run("whole")
        traces = [str(path.relative_to(made.folder)) for path in made.traces()]
        graph = floor.parse_dag(made.run("dag", "--dag").output)
    touches = place(FLOOR)
    floor.write_snakefile(graph, touches, ALONE)
    runs = []
    for number in range(floor_runs):
        floor.forget_outputs(graph, touches)
        runs.append(floor.run_floor(touches, f"whole{number}"))
    assert jobs_run(whole.output)["measure"] == len(traces)
    return Whole(
        len(traces),
        len(traces) // images,
        graph.jobs,
        graph.edges,
        whole.wall_s,
        measuring_s(whole.output),
        _bare_ms(min(images, BARE_IMAGES), networks),
        whole.peak_mib,
        [run.wall_s for run in runs],
        max(run.peak_mib for run in runs),
    )


def _bare_ms(images: int, networks: list[Any] | None) -> float:
    """What Snakemake takes for a job of `measure`, on a smaller campaign."""
    with campaign("bare", images, networks=networks) as made:
        made.run("index", INDEX)
        planned = made.run("plan", "--dry-run", "--quiet", "host").output
        traces = re.findall(r"^ +output: (\S+/traces/\S+)$", planned, re.MULTILINE)
        made.measure_nothing()
        return 1e3 * measuring_s(made.run("bare", *traces).output) / len(traces)


def measuring_s(output: str) -> float:
    """From the end of the job before the first `measure` to the end of the last one, in s, by the
    stamps that Snakemake prints, to the second.
    """
    stamped = [(_time(stamp), rule) for stamp, rule in STAMP.findall(output)]
    numbers = [number for number, (_, rule) in enumerate(stamped) if rule == "measure"]
    return stamped[numbers[-1]][0] - stamped[max(numbers[0] - 1, 0)][0]


def _time(stamp: str) -> float:
    return datetime.strptime(stamp, "%a %b %d %H:%M:%S %Y").timestamp()


def run(
    images: int = IMAGES, floor_runs: int = FLOOR_RUNS, networks: list[Any] | None = None
) -> Section:
    """The section; what was measured is kept for the budgets that go on from it."""
    whole = measure(images, floor_runs, networks)
    write_text(place(RECORD), json.dumps(asdict(whole)))
    return section(whole)


def kept() -> Whole | None:
    """What was measured last, None before."""
    path = place(RECORD)
    return Whole(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def section(whole: Whole) -> Section:
    """Verdicts and text."""
    floor_s = statistics.median(whole.floor_s)
    tail_s = whole.wall_s - whole.measuring_s
    each_ms, floor_ms = 1e3 * whole.measuring_s / whole.modalities, 1e3 * floor_s / whole.jobs
    name = f"campaign of {whole.modalities} modalities"
    reason = (
        f"a modality takes {each_ms:.0f} ms where a `touch` job takes {floor_ms:.0f} ms: {whole.bare_ms:.0f} ms of it are "
        "Snakemake's with the inputs, parameters and log of the real rule, the rest the start of a Python client and "
        "the simulation of some minutes of power samples, which a real GPU does not need; and "
        f"{tail_s:.0f} s go to references and analysis on one core, where the floor has some touches."
    )
    ratio = Verdict(
        f"{name}, time over the same graph of `touch` jobs",
        f"≤ {RATIO:g}",
        f"{whole.ratio:.2f} ({whole.wall_s:.0f} s / {floor_s:.0f} s)",
        whole.ratio <= RATIO,
        reason,
    )
    memory = Verdict(
        f"{name}, peak memory of everything",
        f"< {MEMORY_MIB / 1024:g} GiB",
        f"{whole.peak_mib / 1024:.2f} GiB",
        whole.peak_mib < MEMORY_MIB,
        "the largest processes are Snakemake, which holds the graph, and the worker.",
    )
    rows = [
        ["whole", f"{whole.wall_s:.1f}", f"{floor_s:.1f}"],
        ["of it measuring", f"{whole.measuring_s:.0f}", ""],
        ["of it images, references and analysis", f"{tail_s:.0f}", ""],
        ["a modality (ms) / a job (ms)", f"{each_ms:.0f}", f"{floor_ms:.0f}"],
        ["the same, measuring nothing (ms)", f"{whole.bare_ms:.0f}", ""],
        ["peak memory (MiB)", f"{whole.peak_mib:.0f}", f"{whole.floor_peak_mib:.0f}"],
    ]
    table = markdown(["", "campaign (s)", "floor (s)"], rows)
    text = TEXT.format(
        jobs=whole.jobs,
        edges=whole.edges,
        runs=len(whole.floor_s),
        least=min(whole.floor_s),
        most=max(whole.floor_s),
    )
    return Section("The whole campaign", (ratio, memory), f"{text}\n{table}")


TEXT = """`snakemake --cores 1 --resources gpu=1` from nothing to the report, with a warm worker, on a virtual Turing GPU whose clock jumps: hours of power samples are computed, not waited for. The floor is the graph
that the same run printed (`snakemake --dag`): {jobs} jobs, {edges} edges, every job a `touch`; {runs} runs, {least:.0f} to {most:.0f} s, median below; the campaign ran once. Memory is that of Snakemake, its jobs and
the worker together, shared pages counted once, looked at once a second.
"""
