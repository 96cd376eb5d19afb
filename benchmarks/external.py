"""External meters: a recorded trace, and virtual campaigns with known gain: docs/external_meter.md.

The page's text is written by hand; what lies between its two marks is written here.
"""

import math
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner

from benchmarks.campaigns import markdown
from benchmarks.metered import (
    METER_PERCENT,
    METER_W,
    METERS,
    PLACES,
    POWERS_W,
    Campaign,
    Truth,
    compared,
    measured,
    truth,
)
from benchmarks.table2 import sizes
from benchmarks.wall_meter import WallMeter
from nic_energy.calibration.campaign import Comparison
from nic_energy.calibration.fit import Sees
from nic_energy.cli import main
from nic_energy.config import project_root
from nic_energy.figures import external_meter, save
from nic_energy.traces import FloatArray

GPU = "turing"
SEED = 440
IMAGES = 10
SMALL_CAMPAIGNS = 60
SMALL_GPUS = ("turing", "ada")
SMALL: dict[str, Any] = {
    "passport": False,
    "protocol": {
        "idle_s": 20,
        "context_idle_s": 2,
        "paired_idle_s": 2,
        "preheat_celsius": None,
        "min_duration_s": 1.2,
        "min_repetitions": 3,
        "max_repetitions": 3,
    },
}
SMALL_PERIOD_S = 0.1
BEGIN, END = "<!-- benchmark:begin -->", "<!-- benchmark:end -->"
RTX = ("tests/data/rtx3090/nvidia_smi.csv", "tests/data/rtx3090/external_meter.csv")


@dataclass(frozen=True)
class Found:
    """A comparison beside its truth."""

    comparison: Comparison
    meter: WallMeter
    true: Truth


def page() -> str:
    """The page docs/external_meter.md with its middle part made anew."""
    path = project_root() / "docs" / "external_meter.md"
    head, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    if not rest:
        raise ValueError(f"{path}: has no mark {BEGIN}")
    tail = rest.partition(END)[2]
    middle = "\n".join([recorded(), virtual(), coverage()])
    return f"{head}{BEGIN}\n{middle}\n{END}{tail}"


def recorded() -> str:
    """The RTX 3090's log against the external meter beside it, by the released command."""
    with tempfile.TemporaryDirectory() as folder:
        stem = Path(folder) / "external_rtx3090"
        arguments = ["external", "compare", *RTX]
        root = project_root()
        files = [str(root / name) for name in RTX]
        done = CliRunner().invoke(
            main, [*arguments[:2], *files, "--figure", str(stem)], catch_exceptions=False
        )
        _keep(stem)
    output = done.output.replace(f"{root}/", "").strip()
    return "\n".join(
        [
            "\n## A recorded trace: GeForce RTX 3090\n",
            "A recording of a real board with a power meter in its slot and its cables (`tests/data/README.md`).\n",
            "```console",
            f"$ nic-energy {' '.join(arguments)} --figure external_rtx3090",
            output,
            "```\n",
            "![Power of the sensor's fields and of the meter over time](img/external_rtx3090.png)\n",
        ]
    )


def _keep(stem: Path) -> None:
    target = project_root() / "docs" / "img" / f"{stem.name}.png"
    shutil.copyfile(stem.with_suffix(".png"), target)


def virtual() -> str:
    """A campaign of 440 runs by the paper's protocol, with either meter beside it."""
    images = dict(list(sizes().items())[:IMAGES])
    with measured(GPU, SEED, images, passport=False) as campaign:
        found = {sees: _compare(campaign, sees, SEED) for sees in METERS}
        hours = campaign.gpus[-1].now() - campaign.gpus[0].timeline.start_s
        windows = int(campaign.energy["repetitions"].sum())
    for sees, each in found.items():
        with tempfile.TemporaryDirectory() as folder:
            stem = Path(folder) / f"external_{sees}"
            save(external_meter.plot(each.comparison.table, each.comparison.summary), stem)
            _keep(stem)
    board = found["board"].comparison.summary
    return "\n".join(
        [
            TEXT.format(
                runs=board["runs"],
                windows=windows,
                hours=hours / 3600,
                low=min(POWERS_W),
                high=max(POWERS_W),
                percent=METER_PERCENT,
                watt=METER_W,
                seed=SEED,
                plug=METERS["machine"],
            ),
            markdown(HEAD, [_row(sees, each) for sees, each in found.items()]),
            "",
            markdown(
                ["meter", *(f"u of the gain: {name}" for name in board["gain"]["components"])],
                [
                    [PLACES[sees], *(f"{100 * u / each.true.gain:.3f} %" for u in _parts(each))]
                    for sees, each in found.items()
                ],
            ),
            "",
            "| at the plug | at the board |",
            "| --- | --- |",
            "| ![Meter at the plug](img/external_machine.png) | ![Meter at the board](img/external_board.png) |",
        ]
    )


def _parts(found: Found) -> list[float]:
    return list(found.comparison.summary["gain"]["components"].values())


def _compare(campaign: Campaign, sees: Sees, seed: int, **changes: Any) -> Found:
    found, meter = compared(campaign, sees, seed, campaign.folder / f"{sees}.csv", **changes)
    return Found(found, meter, truth(campaign, meter))


HEAD = [
    "meter", "gain, true", "found ± U", "offset, true (W)", "found ± U (W)", "r, expected", "r found (95 %)",
    "r, energies", "zone (h)", "drift, true (ppm)", "found ± u (ppm)",
]  # fmt: skip


def _row(sees: Sees, found: Found) -> list[str]:
    summary, true, meter = found.comparison.summary, found.true, found.meter
    gain, offset, clock = summary["gain"], summary["offset_w"], summary["clock"]
    low, high = summary["pearson_r_power_95"]
    return [
        PLACES[sees],
        f"{true.gain:.4f}",
        f"{gain['value']:.4f} ± {gain['expanded_95']:.4f}{_missed(gain, true.gain)}",
        f"{true.offset_w:.2f}",
        f"{offset['value']:.2f} ± {offset['expanded_95']:.2f}{_missed(offset, true.offset_w)}",
        f"{_expected_r(found):.5f}",
        f"{summary['pearson_r_power']:.5f} ({low:.5f} to {high:.5f})",
        f"{summary['pearson_r_energy']:.5f}",
        f"{clock['time_zone_s'] / 3600:+g}",
        f"{1e6 * meter.drift:.1f}",
        f"{clock['drift_ppm']:.2f} ± {clock['drift_u_ppm']:.2f}",
    ]


def _missed(found: Mapping[str, Any], true: float) -> str:
    return "" if abs(found["value"] - true) <= found["expanded_95"] else " (missed)"


def _expected_r(found: Found) -> float:
    """Correlation that the host's wander alone leaves, given how much the powers differ."""
    power = found.comparison.table["meter_power_w"].to_numpy(float)
    wander = found.meter.wander_w
    return math.sqrt(1 - min(1.0, wander**2 / float(np.var(power))))


TEXT = """
## Virtual campaigns: is the truth recovered?

**Simulated.** {runs} runs ({windows} windows, {hours:.0f} h on the virtual clock) by the paper's protocol on the virtual Turing GPU, all 44 network-quality pairs on ten
images, with dynamic powers from {low} to {high} W (another spread gives another uncertainty). Beside it stand two virtual meters that see the GPU's true power, with means over 0.5 s, time stamps in local
time, and a clock that is off and drifts: one at the board, one at the plug, behind a power supply of {plug.efficiency:g} efficiency and with a host of {plug.host_w:g} W (and {plug.host_load_w:g} W more under load) whose power
wanders by {plug.wander_w:g} W over {plug.wander_s:g} s. Each meter is wrong by a gain and an offset of its own, drawn with the standard uncertainties that it states ({percent:g} %, {watt:g} W). Seed {seed}.

*True* is the sensor's gain times the efficiency, and its offset less that times the host's power under load. The expected r is what the host's wander
alone would leave; the paper's was 0.9986 over its 440.
"""


def coverage() -> str:
    """How often U holds the truth, over small campaigns."""
    rows = []
    for gpu in SMALL_GPUS:
        with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            outcomes = list(pool.map(_small, [gpu] * SMALL_CAMPAIGNS, range(SMALL_CAMPAIGNS)))
        for sees in METERS:
            rows.append([gpu, PLACES[sees], *_summary([each[sees] for each in outcomes])])
        print(f"  external: {gpu} done", flush=True)
    head = [
        "preset", "meter", "campaigns", "gain held (%)", "median U (%)", "offset held (%)", "median U (W)",
    ]  # fmt: skip
    return "\n".join([COVERAGE.format(campaigns=SMALL_CAMPAIGNS), markdown(head, rows, 2), ""])


COVERAGE = """
## How often the intervals hold

**Simulated.** {campaigns} campaigns a preset of 44 runs each (one image, three windows of 1.2 s, meters with means over 0.1 s), every one with its own noise, its own host and its own error of
the meter. An interval *holds* when gain or offset lies within U (95 %) of the found one; ± is the standard error of the share.
"""


def _small(gpu: str, number: int) -> dict[Sees, dict[str, Any]]:
    """One small campaign: errors of gain and offset, and U."""
    seed = 1000 + 10_000 * SMALL_GPUS.index(gpu) + number
    outcome: dict[Sees, dict[str, Any]] = {}
    with measured(gpu, seed, dict(list(sizes().items())[:1]), **SMALL) as campaign:
        for sees in METERS:
            each = _compare(campaign, sees, seed, period_s=SMALL_PERIOD_S)
            summary, true = each.comparison.summary, each.true
            outcome[sees] = {
                "gain": (summary["gain"]["value"] - true.gain) / true.gain,
                "gain_u": summary["gain"]["expanded_95"] / true.gain,
                "offset": summary["offset_w"]["value"] - true.offset_w,
                "offset_u": summary["offset_w"]["expanded_95"],
            }
    return outcome


def _summary(found: Sequence[Mapping[str, float]]) -> list[str]:
    cells = [str(len(found))]
    for name, factor in (("gain", 100), ("offset", 1)):
        errors, widths = (_column(found, key) for key in (name, f"{name}_u"))
        held = np.abs(errors) <= widths
        share = float(held.mean())
        error = math.sqrt(max(share * (1 - share), 0.01) / len(found))
        cells += [f"{100 * share:.0f} ± {100 * error:.0f}", f"{factor * np.median(widths):.2g}"]
    return cells


def _column(found: Sequence[Mapping[str, float]], key: str) -> FloatArray:
    return np.array([each[key] for each in found])
