"""CompressAI's networks in a process that writes down how long networks ran, and how long the
protocol waited.

Named in the networks table of the overhead's benchmark. The two sums lie in a small file that the
benchmark reads between modalities; what a measurement takes beyond them is overhead.
"""

import mmap
import os
import struct
import time
from pathlib import Path
from typing import Any

from torch import nn

from nic_energy.codecs.execution import NetworkLoad
from nic_energy.protocol.bench import SystemClock

VARIABLE = "NIC_ENERGY_BUDGET_CLOCKS"
LAYOUT = "dd"
SIZE = struct.calcsize(LAYOUT)


class Clocks:
    """Seconds that networks ran and that the protocol waited, of all processes that share a file."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(struct.pack(LAYOUT, 0.0, 0.0))
        with path.open("r+b") as handle:
            self._memory = mmap.mmap(handle.fileno(), SIZE)

    def read(self) -> tuple[float, float]:
        """(ran, waited) so far."""
        ran_s, waited_s = struct.unpack(LAYOUT, self._memory[:])
        return ran_s, waited_s

    def add(self, ran_s: float = 0.0, waited_s: float = 0.0) -> None:
        """One process at a time adds."""
        ran, waited = self.read()
        self._memory[:] = struct.pack(LAYOUT, ran + ran_s, waited + waited_s)


class _Clocking:
    """Puts a clock around executions and waits; once a process."""

    installed = False

    @classmethod
    def install(cls) -> None:
        if not cls.installed:
            cls.installed = True
            clocks = Clocks(Path(os.environ[VARIABLE]))
            for owner, name, sum_s in (
                (NetworkLoad, "run", "ran_s"),
                (NetworkLoad, "once", "ran_s"),
                (SystemClock, "sleep", "waited_s"),
            ):
                setattr(owner, name, _timed(getattr(owner, name), clocks, sum_s))


def _timed(method: Any, clocks: Clocks, sum_s: str) -> Any:
    def timed(*args: Any) -> Any:
        begin = time.perf_counter()
        result = method(*args)
        clocks.add(**{sum_s: time.perf_counter() - begin})
        return result

    return timed


def _make(name: str, quality: int) -> nn.Module:
    from compressai.zoo import image_models

    if VARIABLE in os.environ:
        _Clocking.install()
    module: nn.Module = image_models[name](quality=quality, pretrained=False)
    return module


def factorized(quality: int) -> nn.Module:
    """bmshj2018-factorized."""
    return _make("bmshj2018-factorized", quality)


def context(quality: int) -> nn.Module:
    """mbt2018."""
    return _make("mbt2018", quality)


def attention(quality: int) -> nn.Module:
    """cheng2020-attn."""
    return _make("cheng2020-attn", quality)
