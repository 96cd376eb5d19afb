"""The power traces of all modalities, thinned and packed into little room."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nic_energy.errors import StoreError
from nic_energy.report.embed import as_json, packed
from nic_energy.report.thinning import FloatArray, thinned
from nic_energy.store import modality_key
from nic_energy.traces import Trace, read_trace

STEPS = 65535
"""Times and powers are kept as so many steps of a trace's length and of its highest power."""

MOST_SAMPLES = 1500
"""Drawn of one trace at most: more than a screen has pixels."""

BYTES_A_SAMPLE = 4.6
"""What a sample takes on the page, packed: 4 bytes of which hardly any compress, as base64."""

BYTES_A_TRACE = 170
"""What the marks of a trace take on the page, packed."""


@dataclass(frozen=True)
class Curve:
    """The samples of one modality's power that can be drawn.

    Attributes:
        key: (part, network, quality, image). time: s since the first sample. power: W.
        windows: (start_s, end_s, executions, admissible). phases: (phase, start_s, end_s).
        field: the power column. idle_w: the idle power that the stopping rule subtracted.
    """

    key: tuple[str, str, int, str]
    source: str
    field: str
    time: FloatArray
    power: FloatArray
    windows: Sequence[tuple[float, float, int, bool]]
    phases: Sequence[tuple[str, float, float]]
    idle_w: float | None

    @property
    def marks(self) -> list[float]:
        """Both ends of all windows, in s."""
        return [mark for start, end, *_ in self.windows for mark in (start, end)]


@dataclass(frozen=True)
class TraceBook:
    """The traces on a page: a JSON document about them, their samples packed, what to say.

    `document` holds a list `curves` with the number of samples of each; `samples` is packed
    little-endian uint16: first the steps in time from sample to sample of all curves, then the
    powers.
    """

    document: str
    samples: str
    shown: int
    wanted: int
    drawn: int
    recorded: int

    @property
    def size(self) -> int:
        """What it takes on the page in bytes."""
        return len(self.document) + len(self.samples)

    def sentence(self) -> str:
        """How much of the traces is on the page."""
        if not self.shown:
            return "None of the traces lies beside the tables."
        of = (
            f"{self.shown:,}" if self.shown == self.wanted else f"{self.shown:,} of {self.wanted:,}"
        )
        modalities = "modality" if self.wanted == 1 else "modalities"
        if self.drawn == self.recorded:
            return f"The traces of {of} {modalities} are here with all {self.drawn:,} samples."
        return (
            f"The traces of {of} {modalities} are here, thinned so that the page stays small: "
            f"{self.drawn:,} of {self.recorded:,} samples. Kept are the samples beside the marks "
            "of every window, and the lowest and the highest of every stretch between; all "
            "samples lie in traces/."
        )


def curve_of(trace: Trace) -> Curve | None:
    """What can be drawn of a trace; None where it is of no modality or has no power readings."""
    modality = trace.meta.modality
    fields = [field.column for field in trace.meta.meter.power_fields]
    field = trace.meta.stopping.get("power_field") or (fields[0] if fields else None)
    if modality is None or field is None:
        return None
    time, power = trace.column("time_s"), trace.column(str(field))
    known = np.isfinite(time) & np.isfinite(power)
    if not known.any():
        return None
    time, power = time[known], power[known]
    zero = float(time[0])
    idle = trace.meta.idle_power_w.get(str(field))
    return Curve(
        (modality.part, modality.network, modality.quality, modality.image.image),
        trace.meta.source,
        str(field),
        time - zero,
        power,
        [(w.start_s - zero, w.end_s - zero, w.executions, w.admissible)
         for w in trace.meta.windows],
        [(i.phase, i.start_s - zero, i.end_s - zero) for i in trace.meta.intervals],
        idle if idle is not None and math.isfinite(idle) else None,
    )  # fmt: skip


def curves(folder: Path, energy: pd.DataFrame) -> Iterator[Curve]:
    """The curves of the rows of energy.csv whose traces lie under `folder` and can be read."""
    columns = ["part", "network", "quality", "image"]
    for part, network, quality, image in energy[columns].drop_duplicates().to_numpy().tolist():
        path = folder / "traces" / f"{modality_key(part, network, int(quality), image)}.parquet"
        if not path.is_file():
            continue
        try:
            found = curve_of(read_trace(path))
        except StoreError:
            # The rows come from the table, which is whole: a page without one trace says so.
            continue
        if found:
            yield found


def book(found: Sequence[Curve], wanted: int, budget: int) -> TraceBook:
    """The curves, each with as many samples as the budget lets it have.

    Args:
        wanted: modalities that the page shows. budget: bytes on the page.
    """
    a_trace = budget / len(found) - BYTES_A_TRACE if found else 0
    most = min(MOST_SAMPLES, int(a_trace / BYTES_A_SAMPLE))
    about, steps, powers, recorded = [], [], [], 0
    for curve in found:
        chosen = thinned(curve.time, curve.power, curve.marks, most)
        length, top = max(float(curve.time[-1]), 1e-9), max(float(curve.power.max()), 1e-9)
        places = np.rint(curve.time[chosen] / length * STEPS)
        steps.append(np.diff(places, prepend=0.0))
        powers.append(np.rint(np.clip(curve.power[chosen], 0, None) / top * STEPS))
        about.append(_about(curve, len(chosen), length, top))
        recorded += len(curve.time)
    words = [np.concatenate(column) if column else np.array([]) for column in (steps, powers)]
    samples = b"".join(column.astype("<u2").tobytes() for column in words)
    return TraceBook(
        packed(as_json({"curves": about}).encode()),
        packed(samples),
        len(found),
        wanted,
        len(words[0]),
        recorded,
    )


def _about(curve: Curve, count: int, length: float, top: float) -> Mapping[str, Any]:
    part, network, quality, image = curve.key
    return {
        "part": part,
        "network": network,
        "quality": quality,
        "image": image,
        "source": curve.source,
        "field": curve.field,
        "samples": count,
        "recorded": len(curve.time),
        "length_s": length,
        "top_w": top,
        "idle_w": None if curve.idle_w is None else round(curve.idle_w, 3),
        "windows": [
            [round(start, 3), round(end, 3), executions, int(admissible)]
            for start, end, executions, admissible in curve.windows
        ],
        "phases": [[phase, round(start, 2), round(end, 2)] for phase, start, end in curve.phases],
    }
