"""The client: hands a measurement to the worker, starts it where there is none, and links the
result into place.

The worker keeps every attempt in the raw store; the trace of the contract is linked by the client
alone, so that nothing appears after whoever asked for it is gone. A worker that dies or hangs, or
whose device fails, costs one retry.
"""

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from nic_energy import interrupts
from nic_energy.errors import (
    DEVICE_FAILURES,
    InterruptedMeasurementError,
    MeterError,
    NicEnergyError,
)
from nic_energy.files import link_or_copy
from nic_energy.worker.again import ONCE_MORE, failed_twice, say
from nic_energy.worker.registry import Address, address_of
from nic_energy.worker.wire import (
    Message,
    WorkerClosedError,
    WorkerGoneError,
    connected,
    receive,
    send,
)

OPTIONS = (
    "--config", "--digest", "--part", "--network", "--quality", "--image", "--image-file", "--idle",
    "--passport", "--output", "--worker",
)  # fmt: skip
"""All that a request may hold; each takes a value."""

REQUIRED = ("--config", "--network", "--quality", "--image", "--image-file", "--idle", "--output",
            "--worker")  # fmt: skip

START_S = 120.0
SILENT_S = float(os.environ.get("NIC_ENERGY_SILENT_S", "900"))
"""A worker says something at every window and at every stretch of preheating; one that is silent
for longer than a long window and a slow network need hangs."""

TRIES = 2
LEAVING_TRIES = 50
LEAVING_S = 0.1
"""A process that ends closes its connections one after the other: for a moment its socket still
takes clients that it will never serve."""


LEFT_S = 30.0
"""A worker whose device failed is waited for: what it holds of the device, the next one needs."""


class _LeavingError(Exception):
    """The worker left before it took the request."""


class _DeviceFailedError(Exception):
    """The worker's device or meter failed, and the worker has left."""

    def __init__(self, exit_code: int) -> None:
        self.exit_code = exit_code


def parsed(arguments: Sequence[str]) -> dict[str, str] | None:
    """Options of `nic-energy measure` for a worker; None where they are not for one, or not for
    this client to judge.
    """
    names, values = arguments[::2], arguments[1::2]
    if len(names) != len(values) or not set(REQUIRED) <= set(names) <= set(OPTIONS):
        return None
    return {name.removeprefix("--").replace("-", "_"): v for name, v in zip(names, values)}  # noqa: B905


def switched_off(config: Path) -> bool:
    """Whether the configuration of the campaign wants no worker.

    It is asked here and not where the rule is made: to switch the worker makes no trace stale.
    What cannot be read is for whoever measures to report.
    """
    try:
        return json.loads(config.read_bytes())["worker"]["enabled"] is False
    except (OSError, ValueError, KeyError, TypeError):
        return False


def measure(options: dict[str, str]) -> int:
    """Have a modality measured; the exit code, everything said already.

    Progress goes to the terminal's last line where there is a terminal, log lines to stderr.
    """
    interrupts.install()
    try:
        return _measure(dict(options))
    except (InterruptedMeasurementError, NicEnergyError) as error:
        print(f"nic-energy: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code


def _measure(options: dict[str, str]) -> int:
    root = Path.cwd()
    address = address_of(
        options.pop("worker"), options.get("digest", ""), _device_uuid(options["idle"]), root
    )
    for number in range(1, TRIES + 1):
        last = number == TRIES
        try:
            return _served(address, root, options)
        except _DeviceFailedError as failed:
            if last:
                failed_twice(of_campaign=True)
                return failed.exit_code
            say(ONCE_MORE)
        except WorkerGoneError as gone:
            text = f"the worker went away ({gone}); its log is {address.log}"
            print(f"{text}." if last else f"{text}; trying once more", file=sys.stderr)  # noqa: T201
        except NicEnergyError as error:
            print(f"nic-energy: {error}", file=sys.stderr)  # noqa: T201
            return error.exit_code
    return MeterError.exit_code


def _device_uuid(idle: str) -> str:
    """The GPU of the set-up, from the file that lies beside its idle reference."""
    try:
        text = (Path(idle).parent / "environment.json").read_text(encoding="utf-8")
        return str(json.loads(text)["device"]["uuid"])
    except (OSError, ValueError, KeyError):
        return ""


def _served(address: Address, root: Path, options: dict[str, str]) -> int:
    """Ask until a worker takes the request."""
    for _ in range(LEAVING_TRIES):
        try:
            return _ask(address, root, options)
        except _LeavingError:
            time.sleep(LEAVING_S)
    raise WorkerGoneError("it closes every connection")


def _ask(address: Address, root: Path, options: dict[str, str]) -> int:
    connection = _connect(address) or _start(address, root, options)
    line = _Line()
    pid = 0
    with connection:
        try:
            send(connection, {"request": "measure", "root": str(root), "options": options})
            while True:
                message = receive(connection, SILENT_S)
                kind = message.get("kind")
                if kind == "hello":
                    pid = int(message["pid"])
                elif kind == "log":
                    print(message["text"], file=sys.stderr, flush=True)  # noqa: T201
                elif kind == "progress":
                    line.show(str(message["text"]))
                elif kind == "done":
                    line.clear()
                    return _finish(message, options)
                elif kind == "error":
                    line.clear()
                    return _failed(message, pid, address)
        except WorkerGoneError as gone:
            line.clear()
            if pid:
                _kill(pid, address)
            elif isinstance(gone, WorkerClosedError):
                raise _LeavingError from gone
            raise


def _failed(message: Message, pid: int, address: Address) -> int:
    """Say why; the exit code.

    Raises:
        _DeviceFailedError: the worker leaves for it.
    """
    print(f"nic-energy: {message['text']}", file=sys.stderr)  # noqa: T201
    code = int(message["exit_code"])
    if code in DEVICE_FAILURES:
        _see_off(pid, address)
        raise _DeviceFailedError(code)
    return code


def _finish(message: Message, options: dict[str, str]) -> int:
    with interrupts.held():
        link_or_copy(Path(message["attempt"]), Path(options["output"]))
    print(message["text"], flush=True)  # noqa: T201
    return 0


def _see_off(pid: int, address: Address) -> None:
    """Wait for a worker that leaves; end one that does not."""
    end = time.monotonic() + LEFT_S
    while _is_worker(pid, address) and time.monotonic() < end:
        time.sleep(0.05)
    _kill(pid, address)


def _kill(pid: int, address: Address) -> None:
    """End a worker that hangs; one that died already is no matter."""
    with contextlib.suppress(OSError):
        if _is_worker(pid, address):
            os.kill(pid, signal.SIGKILL)


def _is_worker(pid: int, address: Address) -> bool:
    try:
        return address.key.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _connect(address: Address) -> Connection | None:
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.connect(str(address.socket))
    except OSError:
        sock.close()
        return None
    return connected(sock)


def _start(address: Address, root: Path, options: dict[str, str]) -> Connection:
    """Start the worker, unless another client was faster, and connect to it."""
    with address.lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        connection = _connect(address)
        if connection is not None:
            return connection
        with address.log.open("a", encoding="utf-8") as log:
            started = subprocess.Popen(
                [
                    sys.executable, "-m", "nic_energy.cli", "worker", "serve",
                    "--key", address.key, "--config", options["config"],
                    "--device-uuid", _device_uuid(options["idle"]),
                ],
                cwd=root,
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )  # fmt: skip
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            connection = _connect(address)
            if connection is not None:
                return connection
            if started.poll() is not None:
                raise WorkerGoneError(f"it did not start, exit code {started.returncode}")
            time.sleep(0.02)
        started.kill()
    raise WorkerGoneError(f"it did not start in {START_S:.0f} s")


class _Line:
    """A line that stays at the end of a terminal's output; nothing where there is no terminal."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._shown = False

    def show(self, text: str) -> None:
        """Replace it."""
        if self._terminal:
            columns = os.get_terminal_size().columns
            sys.stdout.write(f"\r\x1b[K{text[: columns - 1]}")
            sys.stdout.flush()
            self._shown = True

    def clear(self) -> None:
        """Take it away."""
        if self._shown:
            sys.stdout.write("\r\x1b[K")
            sys.stdout.flush()
            self._shown = False
