"""What a measurement takes over from the idle reference, and where the two do not go together."""

from pathlib import Path

import numpy as np

from nic_energy.errors import MismatchError
from nic_energy.protocol.bench import Bench
from nic_energy.traces import MeterInfo, PowerField, TraceMeta, read_trace


def require_same_uuid(path: Path, idle: TraceMeta, uuid: str | None) -> None:
    """Refuse a device that is not the idle reference's before anything is loaded on it.

    A scheduler may hand out another GPU of the machine than the set-up's.

    Args:
        path: file of the idle reference, for the message.
        uuid: of the device; None where it is not known before the meter is opened.

    Raises:
        MismatchError: it is another one.
    """
    if uuid is not None and uuid != idle.meter.device_uuid:
        raise MismatchError(
            f"{path}: the idle reference is that of {idle.meter.device_name} "
            f"({idle.meter.device_uuid}), but the device here is {uuid}. A set-up is one device: "
            f"name it (device: {idle.meter.device_uuid}) and have the scheduler give its node and "
            "all GPUs of that, or use another `setup` label."
        )


def require_same_device(path: Path, idle: TraceMeta, meter: MeterInfo) -> None:
    """Refuse a device that is not the idle reference's.

    Args:
        path: file of the idle reference, for the message.

    Raises:
        MismatchError: it is another one.
    """
    if meter.device_uuid != idle.meter.device_uuid:
        raise MismatchError(
            f"{path}: the idle reference is that of {idle.meter.device_name} "
            f"({idle.meter.device_uuid}), but this is {meter.device_name} "
            f"({meter.device_uuid}). A set-up is one device: use another `setup` label, or "
            "choose the right device."
        )


def idle_power_w(path: Path, idle: TraceMeta, meter: MeterInfo, field: PowerField) -> float:
    """Mean idle power of a power field.

    Raises:
        MismatchError: the reference has none of this field, or the meter has lost another since,
            so that `auto` would come to mean another column in the middle of a campaign.
    """
    power_w = idle.idle_power_w.get(field.column)
    if power_w is None:
        raise MismatchError(
            f"{path}: holds no idle power for {field.column}; it was recorded with "
            "another meter or driver. Record it again: --forcerun measure_idle."
        )
    offered = {each.column for each in meter.power_fields}
    gone = [each.column for each in idle.meter.power_fields if each.column not in offered]
    if gone:
        raise MismatchError(
            f"{meter.device_name}: does not offer {', '.join(gone)} any more, which it did when "
            f"{path} was recorded. See which driver is loaded and what this user may read "
            "(nvidia-smi), or record the reference again: --forcerun measure_idle."
        )
    return power_w


def power_field(meter: MeterInfo, column: str) -> PowerField:
    """The power field that the configuration asks for.

    Raises:
        MismatchError: the meter has no such field; names those it has.
    """
    try:
        return meter.power_field(column)
    except KeyError:
        offered = ", ".join(field.column for field in meter.power_fields)
        raise MismatchError(
            f"power_field: {meter.device_name} has no {column}; it has {offered}."
        ) from None


def processes(path: Path, bench: Bench) -> int | None:
    """Compute processes that belong on the device: those now, of which ours is the one that was
    not there during the idle reference. None where they cannot be counted.
    """
    bench.drain()
    now = next((n for s in bench.history if (n := s.get("compute_processes")) is not None), None)
    if now is None:
        return None
    idle = read_trace(path).column("compute_processes")
    before = idle[np.isfinite(idle)]
    return int(now) if not len(before) else min(int(now), int(before.max()) + 1)
