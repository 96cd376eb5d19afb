"""The floor: the graph of a campaign's jobs, every job of it a `touch`.

What Snakemake itself takes for so many jobs with these edges. The graph is the campaign's own, as
`snakemake --dag` prints it.
"""

import json
import re
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import Ran, environment, run, snakemake

NODE = re.compile(r'^\s*(\d+)\[label = "(\w+)', re.MULTILINE)
EDGE = re.compile(r"^\s*(\d+) -> (\d+)\s*;?\s*$", re.MULTILINE)
HEAD = """import json

EDGES = json.load(open("edges.json"))


def inputs(rule):
    return lambda wildcards: EDGES[f"{rule}/{wildcards.job}"]


rule all:
    input: EDGES["all"]

"""
RULE = """
rule {rule}:
    input: inputs("{rule}")
    output: "{rule}/{{job}}"
    {resources}
    shell: "touch {{output}}"

"""
ALONE = "threads: workflow.cores\n    resources: gpu=1"


@dataclass(frozen=True)
class Graph:
    """Jobs and what each waits for: a job is `rule/number`, the target of all is `all`."""

    needs: Mapping[str, Sequence[str]]

    @property
    def jobs(self) -> int:
        """How many, the target among them."""
        return len(self.needs)

    @property
    def edges(self) -> int:
        """How many."""
        return sum(map(len, self.needs.values()))

    @property
    def rules(self) -> list[str]:
        """The names of the rules but `all`, in alphabetical order."""
        return sorted({job.partition("/")[0] for job in self.needs} - {"all"})


def parse_dag(dot: str) -> Graph:
    """The graph that `snakemake --dag` prints.

    Raises:
        ValueError: it is none with a target `all`.
    """
    names = {
        number: rule if rule == "all" else f"{rule}/{number}" for number, rule in NODE.findall(dot)
    }
    if "all" not in names.values():
        raise ValueError("the graph has no target `all`")
    needs: dict[str, list[str]] = {name: [] for name in names.values()}
    for needed, by in EDGE.findall(dot):
        needs[names[by]].append(names[needed])
    return Graph({name: sorted(set(found)) for name, found in needs.items()})


def write_snakefile(graph: Graph, folder: Path, alone: frozenset[str]) -> None:
    """Write the graph's Snakefile.

    Args:
        alone: rules that have the machine and the GPU for themselves.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "edges.json").write_text(json.dumps(graph.needs), encoding="utf-8")
    rules = [
        RULE.format(rule=rule, resources=ALONE if rule in alone else "threads: 1")
        for rule in graph.rules
    ]
    (folder / "Snakefile").write_text(HEAD + "".join(rules), encoding="utf-8")


def run_floor(folder: Path, label: str, *arguments: str) -> Ran:
    """Snakemake on the graph of `write_snakefile`."""
    command = snakemake(*arguments, snakefile=folder / "Snakefile")
    return run(command, folder, environment(), folder / "logs" / f"{label}.txt", folder, 1.0)


def forget_outputs(graph: Graph, folder: Path) -> None:
    """Nothing is made yet, and Snakemake remembers nothing."""
    for name in (*graph.rules, ".snakemake"):
        shutil.rmtree(folder / name, ignore_errors=True)


def counted(graph: Graph) -> dict[str, int]:
    """Jobs a rule."""
    counts: dict[str, int] = defaultdict(int)
    for job in graph.needs:
        counts[job.partition("/")[0]] += 1
    return dict(counts)
