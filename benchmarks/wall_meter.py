"""A virtual power meter behind a virtual campaign: it writes the log that a real one would.

It sees the true power of the virtual GPU, through a power supply and with a host beside it where it
stands at the plug, and has a clock of its own. What the sensor of the virtual GPU read plays no
part in it.
"""

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import numpy as np

from nic_energy.files import write_text
from nic_energy.measure import virtual
from nic_energy.meters.virtual import VirtualGpu
from nic_energy.meters.virtual.meter import EPOCH_S
from nic_energy.traces import FloatArray

CELL_S = 60.0


@dataclass(frozen=True)
class WallMeter:
    """A meter. Its reading is (1 + `gain_error`) P + `offset_error_w` plus noise, rounded to
    `resolution_w`; P is the mean over the `period_s` before a row.

    At the plug P = `host_w` + host wander + what the host needs more under load + board power /
    `efficiency`; a meter on the board has the figures of the default. `clock_s` is how far its clock
    was ahead when the campaign began, `drift` how much faster it goes; its time stamps are local
    time, `zone_s` ahead of UTC.
    """

    period_s: float = 0.5
    noise_w: float = 0.1
    resolution_w: float = 0.001
    gain_error: float = 0.0
    offset_error_w: float = 0.0
    efficiency: float = 1.0
    host_w: float = 0.0
    host_load_w: float = 0.0
    wander_w: float = 0.0
    wander_s: float = 600.0
    clock_s: float = 1.7
    drift: float = 25e-6
    zone_s: float = 3600.0
    before_s: float = 300.0


@contextlib.contextmanager
def watched() -> Iterator[list[VirtualGpu]]:
    """All virtual GPUs that are opened meanwhile, in their order."""
    opened: list[VirtualGpu] = []

    class Watched(VirtualGpu):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments)  # type: ignore[arg-type]
            opened.append(self)

    with mock.patch.object(virtual, "VirtualGpu", Watched):
        yield opened


def write_log(path: Path, meter: WallMeter, gpus: Sequence[VirtualGpu], seed: int) -> None:
    """Write the meter's log of everything that virtual GPUs, opened one after the other, did."""
    random = np.random.default_rng([seed, 0x3E7E2])
    start = gpus[0].timeline.start_s - meter.before_s
    end = gpus[-1].now() + meter.period_s
    step = meter.period_s / (1 + meter.drift)
    nodes = start + step * np.arange(math.floor((end - start) / step) + 1, dtype=np.float64)
    power = np.diff(_energy_j(gpus, nodes)) / step / meter.efficiency
    middle = (nodes[1:] + nodes[:-1]) / 2
    power = power + meter.host_w + meter.wander_w * _wander(middle, meter.wander_s, random)
    power = power + meter.host_load_w * np.diff(_loaded_s(gpus, nodes)) / step
    shown = (1 + meter.gain_error) * power + meter.offset_error_w
    shown = shown + meter.noise_w * random.standard_normal(len(shown))
    shown = np.round(shown / meter.resolution_w) * meter.resolution_w
    began = gpus[0].timeline.start_s
    clock = nodes[1:] + meter.clock_s + meter.drift * (nodes[1:] - began) + meter.zone_s + EPOCH_S
    lines = ["# simulated power meter", "time;power (W)"]
    lines += [
        f"{datetime.fromtimestamp(at, UTC):%d.%m.%Y %H:%M:%S.%f};{value:.3f}".replace(
            ".", ","
        ).replace(",", ".", 2)
        for at, value in zip(clock.tolist(), shown.tolist(), strict=True)
    ]
    write_text(path, "\n".join([*lines, ""]))


OPTIONS = {
    "time_column": "time",
    "time_format": "%d.%m.%Y %H:%M:%S,%f",
    "power_column": "power (W)",
    "reading": "mean_before",
    "delimiter": ";",
    "decimal": ",",
}
"""The log as the key `external_meter` describes it."""


def _parts(
    gpus: Sequence[VirtualGpu], time_s: FloatArray
) -> Iterator[tuple[VirtualGpu, slice, float]]:
    """(GPU, which of the times lie in its opening, true energy of all before it)."""
    edges = np.searchsorted(time_s, [gpu.timeline.start_s for gpu in gpus[1:]])
    bounds = [0, *edges.tolist(), len(time_s)]
    before = 0.0
    for gpu, first, last in zip(gpus, bounds, bounds[1:], strict=False):
        yield gpu, slice(first, last), before
        before += gpu.true_energy_j(gpu.timeline.start_s, gpu.now())


def _energy_j(gpus: Sequence[VirtualGpu], time_s: FloatArray) -> FloatArray:
    """True energy of the board at times, ascending; before the first opening it was at rest."""
    energy = [before + gpu.energy_j(time_s[part]) for gpu, part, before in _parts(gpus, time_s)]
    return np.concatenate(energy)


def _loaded_s(gpus: Sequence[VirtualGpu], time_s: FloatArray) -> FloatArray:
    """For how long a load had run up to times, to a cell of the meter."""
    loaded = np.concatenate(
        [gpu.timeline.loaded(time_s[part]) for gpu, part, _ in _parts(gpus, time_s)]
    )
    return np.cumsum(loaded * np.diff(time_s, prepend=time_s[0]))


def _wander(time_s: FloatArray, scale_s: float, random: np.random.Generator) -> FloatArray:
    """A stationary process of unit variance with that correlation time."""
    cells = np.arange(time_s[0], time_s[-1] + CELL_S, min(CELL_S, scale_s / 10))
    keep = math.exp(-(cells[1] - cells[0]) / scale_s) if len(cells) > 1 else 0.0
    values = random.standard_normal(len(cells))
    for index in range(1, len(cells)):
        values[index] = keep * values[index - 1] + math.sqrt(1 - keep**2) * values[index]
    return np.interp(time_s, cells, values)
