"""The device of the configuration, made ready for the protocol."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nic_energy.errors import DeviceMemoryError
from nic_energy.measure.device import Backend, LoadedModality, LoadRequest, RunningSampler
from nic_energy.meters import MeterRequest
from nic_energy.protocol.bench import Clock, Load, SystemClock
from nic_energy.sampler import Sampler

if TYPE_CHECKING:
    from nic_energy.measure.loading import Networks

log = logging.getLogger(__name__)

STATE = "virtual_state.json"
"""Name of the file in which a virtual GPU's state is kept, in the set-up's folder."""


class TorchBackend:
    """A GPU or a processor that runs networks through PyTorch.

    Args:
        settings: the run settings of the configuration.
        cold: look the device up without leaving a CUDA context in this process, since idle is
            recorded before any context exists.
        budget_bytes: memory that networks may keep on the device for later modalities; None
            follows the device's memory.
    """

    def __init__(
        self, settings: Mapping[str, Any], cold: bool, budget_bytes: int | None = 0
    ) -> None:
        self._budget_bytes = budget_bytes
        self.networks: Networks | None = None
        self.clock: Clock = SystemClock()
        self._settings = settings
        self._uuid = self._find_uuid(cold)

    def _find_uuid(self, cold: bool) -> str | None:
        device = self._settings["device"]
        if device == "cpu":
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
        """Load the network, pad the image, put both on the device, and execute once.

        Where the memory does not suffice, the networks of other modalities leave, and it is tried
        once more.
        """
        try:
            return self._load(request)
        except DeviceMemoryError as error:
            log.warning("%s Tried once more without the networks of other modalities.", error)
        self.drop_networks()
        return self._load(request)

    def _load(self, request: LoadRequest) -> LoadedModality:
        from nic_energy.measure.loading import Networks, put_on_device, resident_budget_bytes

        device = self._torch_device()
        if self.networks is None:
            self.networks = Networks(resident_budget_bytes(device, self._budget_bytes))
        return put_on_device(request, device, self.networks)

    def drop_networks(self) -> None:
        """Give the memory of all networks back."""
        from nic_energy.measure.loading import free_memory

        self.networks = None
        free_memory(self._torch_device())

    def burn(self) -> Load:
        """FP32 matrix products on the device."""
        from nic_energy.codecs.execution import configure
        from nic_energy.measure.burning import Burn

        device = self._torch_device()
        configure(self._settings["deterministic"], "fp32", device)
        return Burn(device)

    def run_settings(self) -> dict[str, Any]:
        """The run settings as PyTorch takes them; imports it, so only once idle is recorded."""
        from nic_energy.codecs.execution import configure

        settings = self._settings
        return configure(settings["deterministic"], settings["precision"], self._torch_device())

    def _torch_device(self) -> str:
        """The device as PyTorch names it: a GPU that is named by its UUID has an index too."""
        device = str(self._settings["device"])
        if not device.startswith("GPU-"):
            return device
        from nic_energy.codecs.identity import cuda_index

        return f"cuda:{cuda_index(device)}"

    def close(self) -> None:
        """Nothing outlives the process."""


def open_backend(settings: Mapping[str, Any], setup_folder: Path, cold: bool = False) -> Backend:
    """The backend for the device of the settings.

    Args:
        setup_folder: where a virtual GPU keeps its state.
        cold: see `TorchBackend`.

    Raises:
        DeviceError: the device is not there.
    """
    if settings["device"] == "virtual":
        from nic_energy.measure.virtual import VirtualBackend

        return VirtualBackend(settings, setup_folder / STATE, cold)
    return TorchBackend(settings, cold)
