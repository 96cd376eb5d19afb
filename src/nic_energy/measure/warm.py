"""The workshop of a worker: device, sampler and networks stay from modality to modality."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nic_energy.errors import DEVICE_FAILURES, DeviceMemoryError, NicEnergyError
from nic_energy.measure.backends import STATE, TorchBackend
from nic_energy.measure.device import Backend, RunningSampler
from nic_energy.measure.virtual import VirtualBackend
from nic_energy.measure.workshop import Workshop
from nic_energy.sampler import Sampler, SamplerReport
from nic_energy.session import utc_now
from nic_energy.traces import MeterInfo, Sample


class LastingSampler:
    """A sampler that goes on between modalities.

    `start` leaves behind what was sampled before; `stop` gives the report of what came since, and
    leaves the process running. One that failed is ended, and a new one started next time.
    """

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler
        self._info: MeterInfo | None = None

    @property
    def usable(self) -> bool:
        """Whether it can serve another modality."""
        return self._info is None or self._sampler.alive

    def start(self) -> MeterInfo:
        """Open the meter, or go on with it.

        Raises:
            DeviceError: see `Sampler.start`.
            MeterError: it failed meanwhile.
        """
        if self._info is None:
            self._info = self._sampler.start()
        else:
            self._sampler.collect()
            self._sampler.report()
        return self._info

    def collect(self) -> list[Sample]:
        """See `Sampler.collect`."""
        return self._sampler.collect()

    def latest(self) -> Sample | None:
        """See `Sampler.latest`."""
        return self._sampler.latest()

    def stop(self) -> SamplerReport:
        """How well it sampled since `start`.

        Raises:
            MeterError: see `Sampler.report`.
        """
        return self._sampler.report()

    def end(self) -> None:
        """End the process, whatever state it is in."""
        try:
            self._sampler.stop()
        except NicEnergyError:
            return


class WarmBackend(TorchBackend):
    """A PyTorch device whose sampler and networks stay."""

    def __init__(self, settings: Mapping[str, Any], budget_bytes: int | None) -> None:
        super().__init__(settings, cold=False, budget_bytes=budget_bytes)
        self._lasting: LastingSampler | None = None

    def sampler(self) -> RunningSampler:
        """The sampler, started anew if the last modality lost it."""
        if self._lasting is None or not self._lasting.usable:
            made = super().sampler()
            assert isinstance(made, Sampler)
            self._lasting = LastingSampler(made)
        return self._lasting

    def end_sampler(self) -> None:
        """The next modality gets a sampler of its own."""
        if self._lasting is not None:
            self._lasting.end()
            self._lasting = None


class WarmWorkshop(Workshop):
    """What a worker keeps.

    Args:
        budget_bytes: memory that networks may keep on the device; None follows its memory.

    Attributes:
        broken: the device failed, and this process cannot measure on it any more.
    """

    def __init__(self, budget_bytes: int | None) -> None:
        self._budget_bytes = budget_bytes
        self.broken = False
        self._backend: WarmBackend | None = None
        self._settled_c: dict[tuple[str, int], float] = {}
        self._resident: set[tuple[str, int]] = set()
        self._begun, self._begun_utc, self._served = time.monotonic(), utc_now(), 0

    def have_alone(self, device_uuid: str) -> None:
        """The worker had it when it began to serve."""

    def open(self, settings: Mapping[str, Any], setup_folder: Path) -> Backend:
        """The device, opened once; a virtual one goes on from its state file."""
        if settings["device"] == "virtual":
            return VirtualBackend(settings, setup_folder / STATE, resident=self._resident)
        if self._backend is None:
            self._backend = WarmBackend(settings, self._budget_bytes)
        return self._backend

    @property
    def warm(self) -> bool:
        """Whether it has measured before."""
        return self._served > 0

    def settled_c(self, network: str, quality: int) -> float | None:
        """Temperature at which this load was seen to settle."""
        return self._settled_c.get((network, quality))

    def ran(self, network: str, quality: int, settled_c: float | None) -> None:
        """Remember a measured modality."""
        self._served += 1
        self._resident.add((network, quality))
        if settled_c is not None:
            self._settled_c[network, quality] = settled_c

    def describe(self) -> dict[str, Any]:
        """The worker's process, its age, and whether it was warm."""
        return {
            "worker": True,
            "pid": os.getpid(),
            "started_utc": self._begun_utc,
            "age_s": time.monotonic() - self._begun,
            "served": self._served,
            "state": "warm" if self.warm else "cold",
        }

    @property
    def served(self) -> int:
        """Modalities measured."""
        return self._served

    def failed(self, error: BaseException) -> None:
        """A modality ended with an error; what may be broken is not used again."""
        self.broken |= getattr(error, "exit_code", None) in DEVICE_FAILURES
        if self._backend is not None:
            self._backend.end_sampler()
            if isinstance(error, DeviceMemoryError):
                self._backend.drop_networks()

    def close(self) -> None:
        """End the sampler."""
        if self._backend is not None:
            self._backend.end_sampler()
