"""What runs again: nothing, or exactly what one more image needs."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.budgets import campaign as whole_campaign
from benchmarks.budgets import floor
from benchmarks.budgets.folder import CampaignFolder, campaign, jobs_run, place
from benchmarks.budgets.report import Section, Verdict
from benchmarks.campaigns import markdown

RATIO = 1.5
RUNS = 3
INDEX = whole_campaign.INDEX
FIXED = ("index_images", "prepare_image", "measure")
REFERENCES = ("measure_idle", "measure_passport", "count_macs")


@dataclass(frozen=True)
class Rerun:
    """Times in s of the campaign and of its floor, turn by turn; `added` are the jobs that one more
    image ran, a rule.
    """

    modalities: int
    points: int
    noop_s: Sequence[float]
    noop_floor_s: Sequence[float]
    dry_s: Sequence[float]
    dry_floor_s: Sequence[float]
    added: Mapping[str, int]


def measure(
    images: int = whole_campaign.IMAGES, runs: int = RUNS, networks: list[Any] | None = None
) -> Rerun:
    """On the folders that the whole campaign left behind; one image joins in the end.

    Raises:
        FileNotFoundError: there is no whole campaign of so many images.
    """
    whole = whole_campaign.kept()
    if whole is None or whole.modalities != images * whole.points:
        raise FileNotFoundError(f"there is no whole campaign of {images} images; run it first")
    touches = place(whole_campaign.FLOOR)
    with campaign(whole_campaign.NAME, images, networks=networks, anew=False) as made:
        noop, noop_floor = [], []
        for number in range(runs):
            noop.append(made.run(f"noop{number}").wall_s)
            noop_floor.append(floor.run_floor(touches, f"noop{number}").wall_s)
        graph = floor.parse_dag(made.run("dag", "--dag").output)
        added = one_more_image(made)
    dry, dry_floor = _dry_runs(graph, images, runs, networks)
    return Rerun(whole.modalities, whole.points, noop, noop_floor, dry, dry_floor, added)


def _dry_runs(
    graph: floor.Graph, images: int, runs: int, networks: list[Any] | None
) -> tuple[list[float], list[float]]:
    """Of a campaign whose images are known and of which nothing is measured."""
    bare = place(whole_campaign.DRY_FLOOR)
    floor.write_snakefile(graph, bare, whole_campaign.ALONE)
    dry, dry_floor = [], []
    with campaign("dry", images, networks=networks) as made:
        made.run("index", INDEX)
        for number in range(runs):
            options = (f"dry{number}", "--dry-run", "--quiet", "all")
            dry.append(made.run(*options).wall_s)
            dry_floor.append(floor.run_floor(bare, *options).wall_s)
    return dry, dry_floor


def one_more_image(made: CampaignFolder) -> dict[str, int]:
    """Jobs that run when a size joins the list."""
    made.add_size()
    return dict(jobs_run(made.run("added").output))


def run(
    images: int = whole_campaign.IMAGES, runs: int = RUNS, networks: list[Any] | None = None
) -> Section:
    """The section."""
    return section(measure(images, runs, networks))


def section(found: Rerun) -> Section:
    """Verdicts and text."""
    verdicts = [
        _ratio("no-op rerun of the full campaign", found.noop_s, found.noop_floor_s),
        _ratio("dry-run of the full campaign", found.dry_s, found.dry_floor_s),
        _added(found),
    ]
    rows = [
        [name, *(f"{value:.2f}" for value in (statistics.median(ours), statistics.median(theirs)))]
        for name, ours, theirs in (
            ("no-op rerun", found.noop_s, found.noop_floor_s),
            ("dry-run, all still to be measured", found.dry_s, found.dry_floor_s),
        )
    ]
    table = markdown(["", "campaign (s)", "floor (s)"], rows)
    others = ", ".join(
        f"{rule} {count}" for rule, count in sorted(found.added.items()) if rule not in FIXED
    )
    text = TEXT.format(
        runs=len(found.noop_s), measured=found.added.get("measure", 0), others=others
    )
    return Section("What runs again", tuple(verdicts), f"{text}\n{table}")


def _ratio(name: str, ours: Sequence[float], theirs: Sequence[float]) -> Verdict:
    median, floor_s = statistics.median(ours), statistics.median(theirs)
    reason = (
        f"{median - floor_s:.1f} s more than the floor: Snakemake compares parameters, code, inputs and logs of "
        "every job, for which the rules compute the digests of settings and code and read what every trace says of itself; resolves the checkpoint that "
        "lists the images, which builds the graph a second time; and the Snakefile imports the package that "
        "checks the configuration."
    )
    return Verdict(
        name,
        f"≤ {RATIO:g} × floor",
        f"{median / floor_s:.2f} ({median:.1f} s / {floor_s:.1f} s)",
        median <= RATIO * floor_s,
        reason,
    )


def _added(found: Rerun) -> Verdict:
    counts = {rule: found.added.get(rule, 0) for rule in (*FIXED, *REFERENCES)}
    expected = {
        "index_images": 1,
        "prepare_image": 1,
        "measure": found.points,
        **dict.fromkeys(REFERENCES, 0),
    }
    wrong = [f"{rule} {counts[rule]} times" for rule in expected if counts[rule] != expected[rule]]
    return Verdict(
        "one image added: jobs of `measure`",
        f"exactly {found.points}, and what follows",
        f"{counts['measure']}; index and the image itself once, no reference again"
        if not wrong
        else f"{counts['measure']}",
        not wrong,
        f"ran {', '.join(wrong)}" if wrong else "",
    )


TEXT = """The finished campaign asked for again, and a dry-run of one whose images are known and of which nothing is measured; the floor is the same graph of `touch` jobs, in the same state. Medians of {runs} runs, campaign and
floor by turns. Then a size joins the list of images: {measured} measurements, and what follows from them ({others}).
"""
