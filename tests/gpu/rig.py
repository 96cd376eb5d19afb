"""What the tests run on: a GPU, or for a rehearsal a virtual GPU beside the processor."""

import os
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nic_energy.codecs.identity import cuda_uuid
from nic_energy.config import project_root, resolve
from nic_energy.config.merge import overlay, read_merged
from nic_energy.measure.backends import open_backend
from tests.gpu.running import (
    CudaEvents,
    CudaMemory,
    DeviceMemory,
    Events,
    HostEvents,
    largest_image,
)
from tests.gpu.station import Station

VIRTUAL = "virtual"
RESULTS = Path("results") / "gpu-test"


class HostMemory:
    """The main memory, for networks that run on the processor; the peak is that of the process."""

    def reset(self) -> None:
        """Its peak cannot be forgotten."""

    def peak_bytes(self) -> int:
        """The most that was resident."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def available_bytes(self) -> int:
        """All of it."""
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@dataclass(frozen=True)
class Rig:
    """The meter's device (`station`) and the networks' device; `image` and `highest` say on what
    and at which quality networks run.
    """

    uuid: str
    source: Literal["measured", "simulated"]
    station: Station
    network_device: str
    changes: dict[str, Any]
    events: Events
    memory: DeviceMemory
    image: tuple[int, int]
    largest: tuple[int, int]
    quality: int

    @property
    def folder(self) -> Path:
        """Where the results of the tests go."""
        return self.station.folder


def rig(device: str, folder: Path) -> Rig:
    """The rig of a device, `cuda:N` or `virtual`; leaves no CUDA context in this process.

    Args:
        folder: where the results of the tests go.

    Raises:
        DeviceError: there is no such GPU.
    """
    real = device != VIRTUAL
    meter = "nvml" if real else VIRTUAL
    changes = {"device": device, "meter": meter}
    document = overlay(read_merged([project_root() / "config" / "config.yaml"]), changes)
    config = resolve(document)
    settings = config.settings()
    found = cuda_uuid(device) if real else open_backend(settings, folder).device_uuid()
    return Rig(
        uuid=str(found),
        source="measured" if real else "simulated",
        station=Station(settings, folder),
        network_device=device if real else "cpu",
        changes=changes,
        events=CudaEvents(device) if real else HostEvents(),
        memory=CudaMemory(device) if real else HostMemory(),
        image=(768, 512) if real else (128, 64),
        largest=largest_image() if real else (128, 64),
        quality=-1 if real else 0,
    )
