"""A process of its own for everything that starts CUDA.

The process of pytest never holds a CUDA context, so that on a GPU in exclusive-process mode,
where one process at a time may hold one, the commands and the tests follow one another.
"""

import multiprocessing
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from tests.gpu.findings import Finding

END_S = 60.0
"""A process that takes longer to end is killed."""

KEPT = ExitStack()
"""What stays open in the process from one test to the next, closed when it ends."""


class ApartError(RuntimeError):
    """The function raised, or its process died."""


class Apart:
    """Runs functions one after another in a process, which ends with `end`.

    After an error the process is ended: what is broken in it, as a CUDA context after a failed
    kernel, is not used again.
    """

    def __init__(self) -> None:
        self._process: SpawnProcess | None = None
        self._pipe: Connection

    def __call__(self, function: Callable[..., Finding], *arguments: Any) -> Finding:
        """What the function finds. It and its arguments can be pickled.

        Raises:
            ApartError: it raised, or its process died.
        """
        if self._process is None:
            self._start()
        try:
            self._pipe.send((function, arguments))
            kind, content = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise ApartError(f"the process of the test died ({self._killed()})") from error
        if kind == "found":
            assert isinstance(content, Finding)
            return content
        self._killed()
        message, where = content
        raised = ApartError(message)
        raised.add_note(where)
        raise raised

    def end(self) -> None:
        """End the process.

        Raises:
            ApartError: it did not end, or not well.
        """
        if self._process is None:
            return
        how = self._killed()
        if how != ENDED_WELL:
            raise ApartError(f"the process of the tests did not end well ({how})")

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,))
        self._process.start()
        theirs.close()

    def _killed(self) -> str:
        """End the process; how it ended."""
        process, self._process = self._process, None
        assert process is not None
        self._pipe.close()
        process.join(END_S)
        if process.exitcode is None:
            process.kill()
            process.join(END_S)
            return f"killed, as it did not end within {END_S:.0f} s"
        return f"exit code {process.exitcode}"


ENDED_WELL = "exit code 0"


def _serve(pipe: Connection) -> None:
    """Run what comes, until nothing can come any more."""
    with KEPT:
        while True:
            try:
                function, arguments = pipe.recv()
            except EOFError:
                return
            try:
                answer = ("found", function(*arguments))
            except Exception as error:  # raised in the process of pytest
                message = f"{type(error).__name__}: {error}"
                answer = ("error", (message, traceback.format_exc()))
            pipe.send(answer)
