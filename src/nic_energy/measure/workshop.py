"""Where a modality finds its device: opened for it alone, or kept ready by a worker."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nic_energy.measure.backends import open_backend
from nic_energy.measure.device import Backend
from nic_energy.worker.registry import clear_device


class Workshop:
    """The device is opened for one modality, and nothing is known of others.

    A worker's workshop (`nic_energy.measure.warm`) keeps it open.
    """

    def have_alone(self, device_uuid: str) -> None:
        """Have workers of earlier measurements leave the device: in exclusive-process mode a second
        process cannot use it, and their networks take memory. Called with the device's lock held.

        Raises:
            DeviceError: see `clear_device`.
        """
        clear_device(device_uuid)

    def open(self, settings: Mapping[str, Any], setup_folder: Path) -> Backend:
        """The device of the settings."""
        return open_backend(settings, setup_folder)

    @property
    def warm(self) -> bool:
        """Whether a network has been running on the device just before."""
        return False

    def settled_c(self, network: str, quality: int) -> float | None:
        """Temperature at which this load was seen to settle on this device."""
        del network, quality
        return None

    def ran(self, network: str, quality: int, settled_c: float | None) -> None:
        """A modality was measured, its windows at that temperature."""

    def failed(self, error: BaseException) -> None:
        """A modality ended with that error."""

    def describe(self) -> dict[str, Any]:
        """What the trace says of the process: whether it is a worker, since when."""
        return {"worker": False}
