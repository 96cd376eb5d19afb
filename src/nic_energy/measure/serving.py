"""The worker: measures one modality after another for clients on a Unix socket.

Importing the networks' library, opening the device and starting the sampler are paid once, and
the device stays hot. It leaves after an idle time, when asked to, when the device or its meter has
failed, and after any error that it does not know, since a device in an unknown state measures
nothing.
"""

import logging
import os
import socket
import time
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from jsonschema import Draft202012Validator

from nic_energy import interrupts
from nic_energy.errors import (
    ConfigError,
    InterruptedMeasurementError,
    NicEnergyError,
)
from nic_energy.measure.modality import MeasureRequest, Outcome, measure_modality
from nic_energy.measure.warm import WarmWorkshop
from nic_energy.measure.workshop import Workshop
from nic_energy.protocol.repetitions import Progress
from nic_energy.session import utc_now
from nic_energy.worker.registry import Address, Status, clear_device, forget, write_status
from nic_energy.worker.wire import WorkerGoneError, connected, peer_uid, receive, send

log = logging.getLogger(__name__)

BACKLOG = 64
REQUEST_S = 10.0
NAME = {"type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9._-]*$", "maxLength": 200}
PATH = {"type": "string", "minLength": 1, "maxLength": 4096}
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["request", "root", "options"],
    "properties": {
        "request": {"const": "measure"},
        "root": PATH,
        "options": {
            "type": "object",
            "additionalProperties": False,
            "required": ["config", "network", "quality", "image", "image_file", "idle", "output"],
            "properties": {
                "config": PATH,
                "digest": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
                "part": NAME,
                "network": NAME,
                "quality": {"type": "string", "pattern": "^[0-9]{1,3}$"},
                "image": NAME,
                "image_file": PATH,
                "idle": PATH,
                "passport": PATH,
                "output": PATH,
            },
        },
    },
}
PATHS = ("config", "image_file", "idle", "passport", "output")


class Desk(Protocol):
    """What stands between the clients and the measurement: reads their options, and says in a
    line how far a modality is.
    """

    def prepare(self, options: Mapping[str, str]) -> MeasureRequest:
        """The request that a client's options stand for."""
        ...

    def window(self, request: MeasureRequest, progress: Progress) -> str:
        """A window is done."""
        ...

    def finished(self, request: MeasureRequest, outcome: Outcome, seconds: float) -> str:
        """A modality is done, its trace not yet linked."""
        ...

    def after(
        self,
        request: MeasureRequest,
        outcome: Outcome,
        report: Callable[[MeasureRequest, Progress], None],
        workshop: Workshop,
    ) -> None:
        """What is due after a modality: the anchor."""
        ...


class Worker:
    """Serves until it is idle for long, asked to leave, or broken.

    Args:
        address: where it listens.
        device_uuid: the GPU that it is for.
        desk: reads the clients' options, and keeps people informed.
        idle_s: it leaves after this long without a request.
        budget_bytes: memory that networks may keep on the device; None follows its memory.
    """

    def __init__(
        self,
        address: Address,
        device_uuid: str,
        desk: Desk,
        idle_s: float,
        budget_bytes: int | None,
    ) -> None:
        self._address, self._device_uuid = address, device_uuid
        self._desk = desk
        self._idle_s, self._root = idle_s, Path.cwd()
        self._workshop = WarmWorkshop(budget_bytes)
        self._started_utc = utc_now()
        self._broken = False

    def serve(self) -> None:
        """Listen and measure.

        Raises:
            InterruptedMeasurementError: it was asked to leave.
        """
        clear_device(self._device_uuid, but=self._address.key)
        with socket.socket(socket.AF_UNIX) as listener:
            partial = self._address.socket.with_suffix(".new")
            partial.unlink(missing_ok=True)
            listener.bind(str(partial))
            partial.chmod(0o600)
            listener.listen(BACKLOG)
            listener.settimeout(self._idle_s)
            self._say(None)
            os.replace(partial, self._address.socket)
            log.info("worker %d listens at %s", os.getpid(), self._address.socket)
            try:
                while not (self._broken or self._workshop.broken):
                    client, _ = listener.accept()
                    self._serve(client)
            except TimeoutError:
                log.info("no request for %.0f s; leaving", self._idle_s)
            finally:
                forget(self._address)
                self._workshop.close()

    def _say(self, current: str | None) -> None:
        write_status(
            self._address,
            Status(
                self._address.key,
                os.getpid(),
                self._device_uuid,
                str(self._root),
                self._started_utc,
                self._workshop.served,
                current,
            ),
        )

    def _serve(self, client: socket.socket) -> None:
        if peer_uid(client) != os.getuid():
            log.warning("refused a request of user %d", peer_uid(client))
            client.close()
            return
        with connected(client) as connection:
            try:
                message = receive(connection, REQUEST_S)
                send(connection, {"kind": "hello", "pid": os.getpid()})
                self._measure(connection, message)
            except WorkerGoneError as gone:
                log.warning("a client went away: %s", gone)

    def _measure(self, connection: Connection, message: Mapping[str, Any]) -> None:
        forward = _Forward(connection)
        logging.getLogger().addHandler(forward)
        try:
            options = self._checked(message)
            request = self._desk.prepare(options)
            self._say(request.key)
            began = time.monotonic()
            outcome = self._attempt(request, connection)
            text = self._desk.finished(request, outcome, time.monotonic() - began)
            self._desk.after(request, outcome, partial(self._report, connection), self._workshop)
        except NicEnergyError as error:
            self._workshop.failed(error)
            _tell(connection, _error(error, error.exit_code))
            interrupts.raise_pending()
        except InterruptedMeasurementError as error:
            _tell(connection, _error(error, error.exit_code))
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the client must hear of it
            self._broken = True
            log.error("unexpected error; the worker leaves\n%s", traceback.format_exc())
            _tell(connection, _error(error, 1))
        else:
            attempt = str(outcome.attempt.resolve())
            send(connection, {"kind": "done", "attempt": attempt, "text": text})
        finally:
            logging.getLogger().removeHandler(forward)
            if self._address.status.exists():
                self._say(None)

    def _attempt(self, request: MeasureRequest, connection: Connection) -> Outcome:
        report = partial(self._report, connection, request)
        return measure_modality(request, report, self._workshop, publish=False)

    def _report(self, connection: Connection, request: MeasureRequest, progress: Progress) -> None:
        """Tell the client of a window.

        Raises:
            ClientGoneError: nobody waits any more.
        """
        text = self._desk.window(request, progress)
        try:
            send(connection, {"kind": "progress", "text": text})
        except WorkerGoneError as gone:
            raise ClientGoneError(
                "the client that asked went away; run again to go on where it stopped."
            ) from gone

    def _checked(self, message: Mapping[str, Any]) -> dict[str, str]:
        """The options of a valid request.

        Raises:
            ConfigError: it is not valid, of another folder, or names a path outside.
        """
        for error in Draft202012Validator(SCHEMA).iter_errors(message):
            where = ".".join(map(str, error.path))
            raise ConfigError(f"request to the worker: {where}: {error.message}.")
        if Path(message["root"]) != self._root:
            raise ConfigError(
                f"request to the worker: it serves {self._root}, not {message['root']}."
            )
        options: dict[str, str] = dict(message["options"])
        for name in PATHS:
            if name in options and not (self._root / options[name]).resolve().is_relative_to(
                self._root.resolve()
            ):
                raise ConfigError(
                    f"request to the worker: {name}: {options[name]} lies outside {self._root}."
                )
        return options


class ClientGoneError(NicEnergyError):
    """Nobody waits for the result any more."""

    exit_code = InterruptedMeasurementError.exit_code


class _Forward(logging.Handler):
    """Sends log lines to the client, for the log file of its rule."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(logging.INFO)
        self._connection = connection
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record; a client that is gone is noticed where the measurement reports."""
        try:
            send(self._connection, {"kind": "log", "text": self.format(record)})
        except WorkerGoneError:
            return


def _tell(connection: Connection, message: dict[str, Any]) -> None:
    """Send an error; that its client is gone must not take the place of a signal to leave."""
    try:
        send(connection, message)
    except WorkerGoneError as gone:
        log.warning("a client went away: %s", gone)


def _error(error: BaseException, exit_code: int) -> dict[str, Any]:
    known = isinstance(error, NicEnergyError | InterruptedMeasurementError)
    text = str(error) if known else f"unexpected error: {error!r}"
    return {"kind": "error", "text": text, "exit_code": exit_code}
