"""What the tests run on: a GPU, or for a rehearsal a virtual GPU beside the processor."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from nic_energy.codecs.identity import cuda_uuid
from nic_energy.config import project_root, resolve
from nic_energy.config.merge import overlay, read_merged
from nic_energy.errors import DeviceError
from nic_energy.measure.backends import open_backend
from nic_energy.worker.registry import stop, workers
from tests.gpu import board, end_to_end
from tests.gpu.running import image_sizes, networks
from tests.gpu.station import Station

VIRTUAL = "virtual"
VIRTUAL_SEED = 10
"""Makes it a virtual GPU of its own, for which no campaign waits, unless a session names another.
"""

RESULTS = Path("results") / "gpu-test"

QUICK: Mapping[str, Mapping[str, Any]] = {
    "same_device": {"seconds": 2.5},
    "fresh_readings": {"cycles": 2},
    "counter_against_integral": {"seconds": 4.0},
    "known_wave": {"cycles": 2},
    "equal_outputs": {"runs": 2},
    "marks_against_events": {"windows": 3, "seconds": 0.2},
    "host_synchronisations": {"rounds": 3, "seconds": 0.1},
}
"""Arguments of the tests in a short session; a stretch of load needs more than the 1.6 s after
which power has settled.
"""


def expected() -> tuple[str, ...]:
    """The findings of a complete session, in its order."""
    return (
        "end_to_end",
        "same_device",
        "fresh_readings",
        "counter_against_integral",
        "known_wave",
        *(f"equal_outputs, {name}" for name in networks()),
        "marks_against_events",
        "host_synchronisations",
        "peak_memory",
    )


@dataclass(frozen=True)
class Rig:
    """The meter's device (`station`) and the networks' device (`device`, as the configuration names
    it).

    `exclusive` says that one process at a time may hold a CUDA context on it, `quick` that images
    are small and stretches of load short. Networks run on `image` at the quality level of index
    `quality`, on the `smallest` and on the `largest` image. `resident_bytes` is the memory that
    the worker of a campaign may keep networks in, as configured (None follows the card's memory).
    `arguments` are those of the tests, by finding,
    where they are not the default.
    """

    device: str
    uuid: str
    source: Literal["measured", "simulated"]
    station: Station
    changes: dict[str, Any]
    exclusive: bool
    quick: bool
    image: tuple[int, int]
    smallest: tuple[int, int]
    largest: tuple[int, int]
    quality: int
    resident_bytes: int | None
    arguments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def real(self) -> bool:
        """Whether it is a GPU."""
        return self.device != VIRTUAL

    @property
    def folder(self) -> Path:
        """Where the results of the tests go."""
        return self.station.folder

    def of(self, finding: str) -> Mapping[str, Any]:
        """Arguments of the test that gives this finding."""
        return self.arguments.get(finding, {})


def rig(device: str, folder: Path, quick: bool = False, virtual_seed: int = VIRTUAL_SEED) -> Rig:
    """The rig of a device, `cuda:N`, `GPU-…` or `virtual`; leaves no CUDA context in this process.

    Args:
        folder: where the results of the tests go.
        quick: small images and short stretches, to see that the tests work at all.
        virtual_seed: seed of the virtual GPU, which makes it the one or another.

    Raises:
        DeviceError: there is no such GPU.
    """
    real = device != VIRTUAL
    meter = "nvml" if real else VIRTUAL
    changes: dict[str, Any] = {"device": device, "meter": meter}
    if not real:
        changes["seed"] = virtual_seed
    document = overlay(read_merged([project_root() / "config" / "config.yaml"]), changes)
    config = resolve(document)
    settings = config.settings()
    uuid = _uuid(device) if real else str(open_backend(settings, folder).device_uuid())
    small = quick or not real
    memory_mb = config.document["worker"]["memory_mb"]
    sizes = image_sizes()
    return Rig(
        device=device,
        uuid=uuid,
        source="measured" if real else "simulated",
        station=Station(settings, folder),
        changes=overlay(changes, end_to_end.QUICK) if quick else changes,
        exclusive=real and board.is_exclusive(board.facts(uuid)),
        quick=small,
        image=(128, 64) if small else (768, 512),
        smallest=(64, 64) if small else sizes[0],
        largest=(192, 128) if small else sizes[-1],
        quality=0 if small else -1,
        resident_bytes=None if memory_mb == "auto" else int(memory_mb) << 20,
        arguments=QUICK if small else {},
    )


def _uuid(device: str) -> str:
    """The UUID of a device. Where CUDA does not start, workers that wait for requests are asked to
    leave first: in exclusive-process mode one of them may hold the only context.
    """
    try:
        return cuda_uuid(device)
    except DeviceError:
        gone = [stop(status) for _, status in list(workers()) if status.current is None]
        if not any(gone):
            raise
        return cuda_uuid(device)
