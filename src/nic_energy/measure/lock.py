"""One measurement at a time on a physical device, whoever measures.

The lock is a name in Linux's abstract socket namespace (unix(7)): bound by one process of the
machine at a time, and free again when that process ends, however it ends. No file stands for it,
so there is none that another user could plant, link elsewhere, make unreadable or remove, nor a
stale one; `ss -xlp` lists it. Processes in other network namespaces (containers) have locks of
their own.
"""

import contextlib
import errno
import hashlib
import logging
import pwd
import socket
import struct
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

from nic_energy.errors import DeviceError

log = logging.getLogger(__name__)

POLL_S = 0.1
WAITERS = 64
"""How many may ask at once who holds the lock."""
CREDENTIALS = struct.Struct("3i")
COMMAND_CHARS = 120
"""A command is shown up to this length."""

NO_FILE = "It is an abstract socket (ss -xlp shows it): there is no file to remove"


@contextlib.contextmanager
def device_lock(uuid: str, timeout_s: float = 3600.0) -> Iterator[None]:
    """Hold the lock of the device with that UUID, over all processes of the machine.

    Raises:
        DeviceError: another measurement held the device for longer than `timeout_s`.
    """
    address = lock_address(uuid)
    held = _try(address)
    if held is None:
        log.info("waiting for another measurement on %s (%s)", uuid, holder_of(address))
        held = _wait(address, timeout_s)
    if held is None:
        raise DeviceError(
            f"device {uuid}: another measurement has held it for {timeout_s:.0f} s: "
            f"{holder_of(address)} holds the lock {lock_name(uuid)}. Two measurements on one "
            f"device falsify each other; wait for it or stop it. {NO_FILE}."
        )
    with held:
        yield


def holder(uuid: str) -> str | None:
    """Who holds the device now, None where nobody does."""
    found = _try(lock_address(uuid))
    if found is None:
        return holder_of(lock_address(uuid))
    found.close()
    return None


def lock_name(uuid: str) -> str:
    """The lock of a device as `ss -xl` shows it; a digest, as such names are short."""
    return f"@nic-energy-{hashlib.sha256(uuid.encode()).hexdigest()[:32]}"


def lock_address(uuid: str) -> bytes:
    """The abstract address that stands for a device."""
    return lock_name(uuid).replace("@", "\0").encode()


def _try(address: bytes) -> socket.socket | None:
    """The lock, or None while another process holds it."""
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        lock.bind(address)
        lock.listen(WAITERS)
    except OSError as error:
        lock.close()
        if error.errno != errno.EADDRINUSE:
            raise DeviceError(f"the lock of the device cannot be made ({error}).") from error
        return None
    return lock


def _wait(address: bytes, timeout_s: float) -> socket.socket | None:
    end = time.monotonic() + timeout_s
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(POLL_S, left))
        held = _try(address)
        if held is not None:
            return held
    return None


def holder_of(address: bytes) -> str:
    """Process, user and command of who listens at an abstract address, as the kernel says it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.setblocking(False)
        try:
            asking.connect(address)
            data = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
        except OSError:
            return "a process that does not say which"
    process, user, _ = CREDENTIALS.unpack(data)
    if process == 0:
        return f"a process of another container, of user {_user(user)}"
    return f"process {process} of user {_user(user)}{_command(process)}"


def _user(number: int) -> str:
    try:
        return f"{pwd.getpwuid(number).pw_name} ({number})"
    except KeyError:
        return str(number)


def _command(process: int) -> str:
    """The command of a process, in brackets; nothing where it cannot be read."""
    try:
        data = Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return ""
    words = data.decode(errors="replace").replace("\0", " ")
    return f" ({textwrap.shorten(words, COMMAND_CHARS, placeholder=' ...')})" if words else ""
