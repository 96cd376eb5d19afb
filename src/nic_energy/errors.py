"""Errors that reach a user, each with the exit code of the command line (docs/faults.md).

A message names the file, the key or the device that is wrong and says what to do about it.
Library code raises these; only the command line turns them into exit codes.
"""

from collections.abc import Iterator


class NicEnergyError(Exception):
    """Base of every error that nic-energy raises on purpose."""

    exit_code = 1


class ConfigError(NicEnergyError):
    """A configuration key, type, range or name is wrong."""

    exit_code = 2


class DeviceError(NicEnergyError):
    """The device or the meter that was asked for is not there or cannot be used."""

    exit_code = 3


class MeterError(NicEnergyError):
    """A meter or its sampler failed while it was being read."""

    exit_code = 4


class InputError(NicEnergyError):
    """An image, a table, an archive or a checkpoint cannot be used."""

    exit_code = 5


class MeasurementError(NicEnergyError):
    """A modality could not be measured (network out of memory, too many bad windows)."""

    exit_code = 6


class StoreError(NicEnergyError):
    """A file could not be written or read back whole (disk full, truncated trace)."""

    exit_code = 7


class MismatchError(NicEnergyError):
    """Data that must not be mixed were about to be mixed (other GPU, other settings)."""

    exit_code = 8


class DeviceMemoryError(MeasurementError):
    """A network does not fit into the memory of its device."""


class InterruptedMeasurementError(KeyboardInterrupt):
    """The user or the system asked the measurement to stop (SIGTERM, SIGINT, SIGHUP).

    It comes at any moment and is no `Exception`, so that nobody who handles those swallows it.
    """

    exit_code = 9


class BundleError(NicEnergyError):
    """A bundle is not what it says that it is, or bundles do not go together."""

    exit_code = 10


class CudaError(NicEnergyError):
    """CUDA, cuDNN or cuBLAS failed, and with it every later call of the process."""

    exit_code = 11


DEVICE_FAILURES = frozenset(each.exit_code for each in (DeviceError, MeterError, CudaError))
"""Exit codes of what fails for the device or its meter, and so would fail with any modality."""


def exit_codes() -> Iterator[tuple[int, str]]:
    """Every exit code with what it means, in order."""
    yield 0, "Done."
    yield NicEnergyError.exit_code, "Something that nobody foresaw; the log holds its traceback."
    kinds: tuple[type[NicEnergyError] | type[InterruptedMeasurementError], ...] = (
        *NicEnergyError.__subclasses__(),
        InterruptedMeasurementError,
    )
    for error in sorted(kinds, key=lambda kind: kind.exit_code):
        yield error.exit_code, str(error.__doc__).partition("\n")[0]
