"""Where workers listen, and which of them are alive.

Everything lies in one folder that only its owner can enter: a socket, a lock for starting, a log
and a status file for each worker. A worker is known by a key: the measuring code, the Python
environment, the settings, the project folder and the GPU. Whoever has other code or another
environment never talks to it.
"""

import contextlib
import hashlib
import json
import os
import signal
import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from nic_energy.errors import DeviceError
from nic_energy.files import write_json

POLL_S = 0.1

KEY_DIGITS = 16

LONGEST_SOCKET = 107
"""Bytes of a path that the kernel takes for a socket (unix(7): 108 with a zero at the end)."""


@dataclass(frozen=True)
class Address:
    """The files of one worker, by its key."""

    folder: Path
    key: str

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.folder / f"{self.key}.sock"

    @property
    def lock(self) -> Path:
        """Held while one client starts it."""
        return self.folder / f"{self.key}.lock"

    @property
    def log(self) -> Path:
        """Its output."""
        return self.folder / f"{self.key}.log"

    @property
    def status(self) -> Path:
        """What it is doing."""
        return self.folder / f"{self.key}.json"


@dataclass(frozen=True)
class Status:
    """What a worker says of itself. `current` is the modality that it measures now, `None` while
    it waits for a request.
    """

    key: str
    pid: int
    device_uuid: str
    root: str
    started_utc: str
    served: int
    current: str | None

    @property
    def alive(self) -> bool:
        """Whether its process is there and is a worker."""
        try:
            command = Path(f"/proc/{self.pid}/cmdline").read_bytes()
        except OSError:
            return False
        return self.key.encode() in command


def runtime_folder() -> Path:
    """The folder of this user's workers, made if it is not there, where they can listen.

    Raises:
        DeviceError: a folder of that name is not this user's alone, or its path is too long.
    """
    folder = _own_folder()
    length = len(os.fsencode(Address(folder, "0" * KEY_DIGITS).socket))
    if length > LONGEST_SOCKET:
        raise DeviceError(
            f"{folder}: too long a path for a worker's socket ({length} bytes, at most "
            f"{LONGEST_SOCKET}). Set XDG_RUNTIME_DIR to a folder with a shorter path."
        )
    return folder


def _own_folder() -> Path:
    parent = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(parent) / "nic-energy" if parent else Path(f"/tmp/nic-energy-{os.getuid()}")  # noqa: S108
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    private = stat.S_ISDIR(found.st_mode) and not stat.S_IMODE(found.st_mode) & 0o077
    if not private or found.st_uid != os.getuid():
        raise DeviceError(
            f"{folder}: is not a folder of this user alone, so anyone could answer for the "
            "worker. Remove it, or set XDG_RUNTIME_DIR to a folder of your own."
        )
    return folder


def address_of(code: str, settings: str, device_uuid: str, root: Path) -> Address:
    """The address of the worker for this code, these settings and this GPU in a project folder."""
    package = Path(__file__).resolve().parents[1]
    pieces = [code, settings, device_uuid, str(root), str(package), sys.prefix]
    text = "\n".join(pieces)
    return Address(runtime_folder(), hashlib.sha256(text.encode()).hexdigest()[:KEY_DIGITS])


def write_status(address: Address, status: Status) -> None:
    """Say what a worker is doing."""
    write_json(address.status, asdict(status))


def workers() -> Iterator[tuple[Address, Status]]:
    """The workers of this user that are alive; what dead ones left behind is removed."""
    folder = _own_folder()
    for path in sorted(folder.glob("*.json")):
        address = Address(folder, path.stem)
        try:
            status = Status(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            continue
        if status.alive:
            yield address, status
        else:
            forget(address)


def forget(address: Address) -> None:
    """Remove a worker's socket and status file."""
    for path in (address.socket, address.status):
        with contextlib.suppress(OSError):
            path.unlink()


def stop(status: Status, timeout_s: float = 30.0) -> bool:
    """Ask a worker to leave; what it is measuring is kept as a failed attempt.

    Returns:
        Whether it is gone.
    """
    with contextlib.suppress(ProcessLookupError):
        os.kill(status.pid, signal.SIGTERM)
    end = time.monotonic() + timeout_s
    while status.alive and time.monotonic() < end:
        time.sleep(POLL_S)
    return not status.alive


def clear_device(device_uuid: str, but: str | None = None, timeout_s: float = 3600.0) -> None:
    """Have every other worker leave a GPU; one that measures is waited for.

    Raises:
        DeviceError: it measured for longer than `timeout_s`, or did not leave.
    """
    end = time.monotonic() + timeout_s
    for address, found in list(workers()):
        status = found
        if status.device_uuid != device_uuid or status.key == but:
            continue
        while status.alive and status.current is not None:
            if time.monotonic() > end:
                raise DeviceError(
                    f"device {device_uuid}: worker {status.pid} measures {status.current} since "
                    f"{timeout_s:.0f} s. Wait for it, or stop it: nic-energy worker stop."
                )
            time.sleep(POLL_S)
            with contextlib.suppress(OSError, ValueError, TypeError):
                status = Status(**json.loads(address.status.read_text(encoding="utf-8")))
        if status.alive and not stop(status):
            raise DeviceError(
                f"device {device_uuid}: worker {status.pid} does not leave. End it: kill "
                f"-KILL {status.pid}."
            )
