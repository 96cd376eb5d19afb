"""What a device is to the measuring code: a clock, a sampler, and networks loaded on it."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from nic_energy.config import Network
from nic_energy.errors import NicEnergyError
from nic_energy.protocol.bench import Clock, Load
from nic_energy.traces import ImageInfo, MeterInfo, Sample

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadRequest:
    """The network, the image and the run settings of a modality."""

    network: Network
    quality: int
    image: str
    image_path: Path
    image_sha256: str
    settings: Mapping[str, Any]
    weights_dir: Path | None


@dataclass(frozen=True)
class LoadedModality:
    """A network with its input on the device.

    `run` are the run settings as read back; `bpp` and `psnr_db` those of one execution, None for
    what the network does not give.
    """

    load: Load
    image: ImageInfo
    run: dict[str, Any]
    bpp: float | None = None
    psnr_db: float | None = None


class RunningSampler(Protocol):
    """A sampler with its life cycle."""

    def start(self) -> MeterInfo:
        """Open the meter and begin to sample."""
        ...

    def collect(self) -> list[Sample]:
        """All samples since the last call."""
        ...

    def latest(self) -> Sample | None:
        """The newest sample."""
        ...

    def stop(self) -> Any:
        """Stop; a dataclass that reports how well it sampled."""
        ...


def stopped(sampler: RunningSampler) -> dict[str, Any]:
    """Stop a sampler whose samples are all here; how well it sampled. After a failure it may be
    gone, and the failure is the error to report.
    """
    try:
        return asdict(sampler.stop())
    except NicEnergyError as error:
        log.warning("sampler: %s", error)
        return {}


class Backend(Protocol):
    """A kind of device."""

    clock: Clock

    def device_uuid(self) -> str | None:
        """UUID of the device, where it can be known before the meter is opened."""
        ...

    def sampler(self) -> RunningSampler:
        """A sampler for the device, not yet started."""
        ...

    def load(self, request: LoadRequest) -> LoadedModality:
        """Load a network and an image onto the device, and execute once."""
        ...

    def burn(self) -> Load:
        """A steady load of a few ms a run, without a network or an image."""
        ...

    def run_settings(self) -> dict[str, Any]:
        """The run settings as read back."""
        ...

    def close(self) -> None:
        """Put away what outlives the process."""
        ...
