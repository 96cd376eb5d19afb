"""What a meter is to the rest of the package."""

from collections.abc import Mapping
from typing import Protocol

from nic_energy.traces import MeterInfo, Sample


class Meter(Protocol):
    """A source of power readings, bound to one device.

    A meter is opened inside the sampler's process, read at the sampling rate, and closed.
    """

    def info(self) -> MeterInfo:
        """What is metered, and which columns hold power."""
        ...

    def read(self) -> Sample:
        """Read every column that the device offers, now.

        The sampler adds the time columns. A value that is not available is None, never 0.

        Raises:
            MeterError: the meter failed; the message names the device and the remedy.
        """
        ...

    def failures(self) -> Mapping[str, int]:
        """Readings that failed and were left null so far: how many of each message."""
        ...

    def close(self) -> None:
        """Release the meter."""
        ...
