"""How much of a virtual campaign's time lies inside measured windows."""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.budgets.report import Section, Verdict
from benchmarks.campaigns import configuration, grey_images, markdown, scratch
from benchmarks.table2 import sizes
from nic_energy.measure.simulate import simulate_campaign
from nic_energy.measure.warm import WarmWorkshop
from nic_energy.traces import Trace, read_trace

SHARE = 0.9
IMAGES = 60
SEED = 7
AUTO = {"lead_in_s": "auto", "sampling_hz": "auto"}
RULES: Mapping[str, Mapping[str, Any]] = {
    "the paper's windows of 5 s, lead-in 1 s": {"paired_idle_s": 0},
    "lead-in as the sensor's passport asks": {"paired_idle_s": 0, **AUTO},
    "windows of 20 s, lead-in as the passport asks": {
        "paired_idle_s": 0,
        "min_duration_s": 20,
        **AUTO,
    },
}
PHASES = ("windows", "left out", "first preheating", "preheating", "lead-in", "idle", "rest")
APART = ("first preheating", "idle")
"""What the budget does not count; the paired idle is off, so that idle is what the first modality
records with its network resident."""

IDLE = ("idle_context", "idle_paired", "settle", "idle_rejected")


@dataclass(frozen=True)
class Share:
    """Seconds of virtual time by phase, from the first modality's first sample to the last one's
    last; `reference_s` is what idle reference and passport took before.
    """

    seconds: Mapping[str, float]
    reference_s: float
    modalities: int

    @property
    def all_s(self) -> float:
        """All phases."""
        return sum(self.seconds.values())

    @property
    def share(self) -> float:
        """Windows over what the budget counts."""
        return self.seconds["windows"] / (self.all_s - sum(self.seconds[name] for name in APART))

    @property
    def share_of_everything(self) -> float:
        """Windows over all, references too."""
        return self.seconds["windows"] / (self.all_s + self.reference_s)


def measure(protocol: Mapping[str, Any], images: int = IMAGES) -> Share:
    """Simulate a campaign as a worker measures it."""
    logging.disable(logging.WARNING)
    config = configuration(
        "turing", seed=SEED, virtual={"residual_seed": SEED}, protocol=dict(protocol)
    )
    chosen = dict(list(sizes().items())[:images])
    with scratch() as folder:
        paths = simulate_campaign(
            config, grey_images(chosen, folder / "images"), folder, True, WarmWorkshop(0)
        )
        return shares(_in_time(paths), folder / "reference" / "idle.parquet")


def _in_time(paths: Sequence[Path]) -> list[Trace]:
    return sorted(map(read_trace, paths), key=lambda trace: float(trace.column("time_s")[0]))


def shares(traces: Sequence[Trace], idle: Path | None = None) -> Share:
    """Where the time went, by the marks of the traces.

    Args:
        traces: in order of time.
        idle: the idle reference, which began before them.
    """
    found: dict[str, float] = dict.fromkeys(PHASES, 0.0)
    seen: set[tuple[str, int]] = set()
    for trace in traces:
        for name, seconds in _phases(trace, seen).items():
            found[name] += seconds
    first, last = traces[0].column("time_s")[0], traces[-1].column("time_s")[-1]
    found["rest"] = float(last - first) - sum(found[name] for name in PHASES if name != "rest")
    reference_s = float(first - read_trace(idle).column("time_s")[0]) if idle else 0.0
    return Share(dict(found), reference_s, len(traces))


def _phases(trace: Trace, seen: set[tuple[str, int]]) -> dict[str, float]:
    """Of one modality; the first preheating is that of the campaign, on a cold device."""
    found: defaultdict[str, float] = defaultdict(float)
    for window in trace.meta.windows:
        found["windows" if window.admissible else "left out"] += window.duration_s
    for interval in trace.meta.intervals:
        seconds = interval.end_s - interval.start_s
        if interval.phase == "preheat":
            found["preheating" if seen else "first preheating"] += seconds
        elif interval.phase in IDLE:
            found["idle"] += seconds
        elif interval.phase == "lead_in":
            found["lead-in"] += seconds
    modality = trace.meta.modality
    if modality is not None:
        seen.add((modality.network, modality.quality))
    return found


def run(images: int = IMAGES, rules: Mapping[str, Mapping[str, Any]] = RULES) -> Section:
    """The section."""
    return section({name: measure(protocol, images) for name, protocol in rules.items()})


def section(found: Mapping[str, Share]) -> Section:
    """Verdicts and text; the first of the protocols is the one that the budget is for."""
    first = next(iter(found.values()))
    per_window = {
        name: first.seconds[name] / first.all_s for name in ("lead-in", "rest", "preheating")
    }
    reason = (
        f"the protocol asks for it: {100 * per_window['lead-in']:.0f} % of the time is the load before every "
        "window, which an averaging sensor needs to forget what was before (1 s beside windows of 5 s: more than "
        f"84 % cannot be); {100 * per_window['rest']:.0f} % the random rest, the run-on after a window until its last "
        f"reading is there, and timing one execution; {100 * per_window['preheating']:.0f} % heating for the next "
        "network. A sensor with a short window needs a shorter lead-in (`lead_in_s: auto`), and longer windows "
        "(`min_duration_s`) spread it, for more hours in all: the table's other rows."
    )
    verdict = Verdict(
        "share of a virtual campaign inside measured windows (idle reference, first preheating and paired idle "
        "apart), warm worker",
        f"≥ {100 * SHARE:.0f} %",
        f"{100 * first.share:.1f} % ({100 * first.share_of_everything:.1f} % with everything counted)",
        first.share >= SHARE,
        reason,
    )
    rows = [
        [
            name,
            f"{100 * each.share:.1f}",
            f"{100 * each.share_of_everything:.1f}",
            f"{each.all_s / 3600:.1f}",
            *(f"{100 * each.seconds[phase] / each.all_s:.1f}" for phase in PHASES),
        ]
        for name, each in found.items()
    ]
    head = ["protocol", "share (%)", "of everything (%)", "hours", *(f"{p} (%)" for p in PHASES)]
    text = TEXT.format(modalities=first.modalities)
    return Section("Time inside measured windows", (verdict,), f"{text}\n{markdown(head, rows)}")


TEXT = """{modalities} modalities on a virtual Turing GPU, measured as a warm worker does, by the marks of their traces on the virtual clock; paired idle off. `left out` are windows that were not admissible; `rest` is what no mark
covers: the random rest before a window, the load that runs on after it, timing one execution, loading a network, and the time from one modality to the next. `share` leaves first preheating and idle apart; `of everything` counts
them, the idle reference and the sensor's passport too.
"""
