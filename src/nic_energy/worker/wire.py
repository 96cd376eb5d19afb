"""Messages between client and worker: JSON objects in the frames of `multiprocessing.connection`.

Only bytes are sent and received, so nothing is ever unpickled.
"""

import json
import socket
import struct
from multiprocessing.connection import Connection
from typing import Any

MAX_BYTES = 1 << 20

Message = dict[str, Any]


class WorkerGoneError(Exception):
    """The other end went away, or does not answer."""


class WorkerClosedError(WorkerGoneError):
    """The other end closed the connection."""


def connected(sock: socket.socket) -> Connection:
    """A connection of frames on a connected socket, which it takes over."""
    return Connection(sock.detach())


def send(connection: Connection, message: Message) -> None:
    """Send a message.

    Raises:
        WorkerClosedError: nobody is there any more.
    """
    try:
        connection.send_bytes(json.dumps(message, separators=(",", ":")).encode())
    except OSError as error:
        raise WorkerClosedError(str(error)) from error
    except ValueError as error:
        raise WorkerGoneError(str(error)) from error


def receive(connection: Connection, timeout_s: float) -> Message:
    """Receive a message.

    Raises:
        WorkerClosedError: nobody is there any more.
        WorkerGoneError: nothing came in `timeout_s`, or it was no message.
    """
    try:
        if not connection.poll(timeout_s):
            raise WorkerGoneError(f"no answer for {timeout_s:.0f} s")
        message = json.loads(connection.recv_bytes(MAX_BYTES))
    except (OSError, EOFError) as error:
        raise WorkerClosedError(str(error) or type(error).__name__) from error
    except ValueError as error:
        raise WorkerGoneError(str(error) or type(error).__name__) from error
    if not isinstance(message, dict):
        raise WorkerGoneError("not a message")
    return message


def peer_uid(sock: socket.socket) -> int:
    """The user at the other end of a Unix socket, as the kernel says."""
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])
