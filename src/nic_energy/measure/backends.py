"""A device made ready for the protocol: its clock, its sampler, and networks loaded on it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from nic_energy.config import Network
from nic_energy.meters import MeterRequest
from nic_energy.protocol.bench import Clock, Load, SystemClock
from nic_energy.sampler import Sampler
from nic_energy.traces import ImageInfo, MeterInfo, Sample


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

    `run` are the run settings as read back; `quality` gives (bpp, psnr_db) from one execution.
    """

    load: Load
    image: ImageInfo
    run: dict[str, Any]
    quality: Callable[[], tuple[float | None, float | None]]


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
        """Load a network and an image onto the device."""
        ...

    def close(self) -> None:
        """Put away what outlives the process."""
        ...


class TorchBackend:
    """A GPU or a processor that runs networks through PyTorch.

    Args:
        settings: the run settings of the configuration.
        cold: look the device up without leaving a CUDA context in this process, since idle is
            recorded before any context exists.
    """

    def __init__(self, settings: Mapping[str, Any], cold: bool) -> None:
        self.clock: Clock = SystemClock()
        self._settings = settings
        self._uuid = self._find_uuid(cold)

    def _find_uuid(self, cold: bool) -> str | None:
        device = self._settings["device"]
        if not device.startswith("cuda"):
            return None
        if cold:
            from nic_energy.codecs.identity import cuda_uuid

            return cuda_uuid(device)
        from nic_energy.codecs.identity import cuda_uuid_in_process

        return cuda_uuid_in_process(device)

    def device_uuid(self) -> str | None:
        """UUID of the CUDA device as torch sees it; None for a processor."""
        return self._uuid

    def sampler(self) -> RunningSampler:
        """A sampler process on the meter of the settings."""
        settings = self._settings
        request = MeterRequest(
            meter=settings["meter"],
            device=settings["device"],
            device_uuid=self._uuid,
            options=dict(settings.get(settings["meter"], {})),
            simulated=bool(settings["test_switch"]),
        )
        return Sampler(request, float(settings["protocol"]["sampling_hz"]))

    def load(self, request: LoadRequest) -> LoadedModality:
        """Load the network, pad the image and put both on the device."""
        from nic_energy.measure.loading import put_on_device, quality_of

        load, image, run, original = put_on_device(**vars(request))
        multiple = request.network.pad_multiple
        return LoadedModality(load, image, run, lambda: quality_of(load, original, multiple))

    def close(self) -> None:
        """Nothing outlives the process."""


def open_backend(settings: Mapping[str, Any], cold: bool = False) -> Backend:
    """The backend for the device of the settings.

    Args:
        cold: see `TorchBackend`.

    Raises:
        DeviceError: the device is not there.
    """
    return TorchBackend(settings, cold)
