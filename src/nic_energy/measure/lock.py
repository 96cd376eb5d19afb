"""One measurement at a time on a physical device."""

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from nic_energy.errors import DeviceError

log = logging.getLogger(__name__)


def lock_path(uuid: str) -> Path:
    """File of the lock of the device with that UUID."""
    name = "".join(c if c.isalnum() or c in "-_." else "_" for c in uuid)
    return Path(tempfile.gettempdir()) / f"nic-energy-{name}.lock"


def is_held(uuid: str) -> bool:
    """Whether a measurement holds the device now.

    Raises:
        OSError: the lock cannot be tried.
    """
    path = lock_path(uuid)
    if not path.exists():
        return False
    lock = FileLock(path, mode=0o666)
    held = not _try(lock)
    lock.release()
    return held


@contextlib.contextmanager
def device_lock(uuid: str, timeout_s: float = 3600.0) -> Iterator[None]:
    """Hold the lock of the device with that UUID, over all processes of the machine.

    Raises:
        DeviceError: another measurement held the device for longer than `timeout_s`.
    """
    path = lock_path(uuid)
    lock = FileLock(path, mode=0o666)
    try:
        if not _try(lock):
            log.info("waiting for another measurement on %s (%s)", uuid, path)
            lock.acquire(timeout=timeout_s)
    except Timeout as error:
        raise DeviceError(
            f"device {uuid}: another measurement has held {path} for {timeout_s:.0f} s. "
            "Two measurements on one device falsify each other; wait for it or stop it."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _try(lock: FileLock) -> bool:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True
