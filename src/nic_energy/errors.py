"""Errors that reach a user, each with the exit code of the command line.

A message names the file, the key or the device that is wrong and says what to do about it.
Library code raises these; only the command line turns them into exit codes.
"""


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


class InterruptedMeasurementError(NicEnergyError):
    """The user or the system asked the measurement to stop (SIGTERM, SIGINT)."""

    exit_code = 9


class BundleError(NicEnergyError):
    """A bundle is not what it says that it is, or bundles do not go together."""

    exit_code = 10
