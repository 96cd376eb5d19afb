"""Which session a measurement belongs to: one boot of the machine under one driver."""

import hashlib
import os
import platform
from datetime import UTC, datetime
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def session_id(driver: str) -> str:
    """Label of the session: head of the boot id and the driver's version.

    Measurements of different sessions are joined only knowingly: a driver update or a reboot
    can change power, clocks and the sensor.
    """
    boot = BOOT_ID.read_text(encoding="ascii").strip() if BOOT_ID.exists() else platform.node()
    return f"{hashlib.sha256(boot.encode()).hexdigest()[:8]}-{driver.replace(' ', '_')}"


def utc_now() -> str:
    """The time as ISO 8601, UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def usable_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0))
