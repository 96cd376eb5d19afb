"""A device ready to be tested: the campaign's own backend, sampler and load on it."""

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nic_energy.config import project_root
from nic_energy.config.settings import resolved
from nic_energy.measure.backends import open_backend
from nic_energy.measure.burning import Burn
from nic_energy.protocol.bench import Bench
from nic_energy.protocol.repetitions import time_execution

POLLING_HZ = 100.0
TIMED_S = 0.5


@dataclass(frozen=True)
class Station:
    """The device of run settings. `folder` is where a virtual GPU keeps its state."""

    settings: Mapping[str, Any]
    folder: Path

    @contextlib.contextmanager
    def bench(self, sampling_hz: float = POLLING_HZ) -> Iterator["Loaded"]:
        """The load of the sensor's passport on the device, beside the sampler of the campaign."""
        open_settings = resolved(self.settings, {})
        protocol = {**open_settings["protocol"], "sampling_hz": sampling_hz}
        backend = open_backend({**open_settings, "protocol": protocol}, self.folder)
        sampler = backend.sampler()
        meter = sampler.start()
        try:
            bench = Bench(backend.clock, sampler, backend.burn(), meter, sampling_hz)
            execution_s = time_execution(bench, TIMED_S)
            yield Loaded(bench, execution_s, backend.device_uuid())
        finally:
            sampler.stop()
            backend.close()


@dataclass(frozen=True)
class Loaded:
    """A bench, the time of one execution of its load, and PyTorch's UUID of the device."""

    bench: Bench
    execution_s: float
    torch_uuid: str | None


BURN = """
import sys, threading
from nic_energy.measure.burning import Burn
burn = Burn(sys.argv[1])
burn.run(1)
print("burning", flush=True)
done = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), done.set()), daemon=True).start()
while not done.is_set():
    burn.run(10)
"""


@contextlib.contextmanager
def burning(device: str) -> Iterator[None]:
    """Another process that keeps the device busy."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", BURN, device],
        cwd=project_root(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        if process.stdout.readline().strip() != "burning":
            raise RuntimeError(f"the other load did not start on {device}")
        yield
        if process.poll() is not None:
            raise RuntimeError(f"the other load ended on its own on {device}")
    finally:
        process.stdin.close()
        process.wait(60)
        process.stdout.close()


@contextlib.contextmanager
def burning_here(device: str) -> Iterator[None]:
    """The same load in this process, on a stream of its own: where one process at a time may have
    a context on the device.
    """
    begun, ended = threading.Event(), threading.Event()
    errors: list[Exception] = []

    def burn() -> None:
        try:
            with _stream(device):
                load = Burn(device)
                while not ended.is_set():
                    load.run(10)
                    begun.set()
        except Exception as error:  # raised in the thread that waits
            errors.append(error)
        finally:
            begun.set()

    thread = threading.Thread(target=burn, daemon=True)
    thread.start()
    begun.wait()
    try:
        if not errors:
            yield
    finally:
        ended.set()
        thread.join()
    if errors:
        raise RuntimeError(f"the other load failed on {device}: {errors[0]}") from errors[0]


def _stream(device: str) -> contextlib.AbstractContextManager[Any]:
    """A stream of its own, on a device that has streams."""
    import torch

    if torch.device(device).type != "cuda":
        return contextlib.nullcontext()
    return torch.cuda.stream(torch.cuda.Stream(device))  # type: ignore[no-untyped-call]
