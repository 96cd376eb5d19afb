"""The command line, stopped at a chosen moment: `python -m tests.faults.paused MOMENT COMMAND ...`

At the moment the file `reached` appears in the working directory, and the process waits until the
file `go` is there. Phases are told by the log, as a user would tell them; inside a phase the
process waits in the next thing that it does on the virtual GPU or with a file.
"""

import logging
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from nic_energy.cli.main import main
from nic_energy.meters.virtual import VirtualGpu

MOMENTS: dict[str, tuple[str, str]] = {
    "loading": ("loading chain/", "sleep"),
    "context idle": ("idle_context: waiting", "sleep"),
    "preheat": ("preheating: to 70 degC", "run"),
    "lead-in": ("window 1: lead-in", "sleep"),
    "window": (r"window 2: \d+ executions", "run"),
    "paired idle": ("idle_paired: waiting", "sleep"),
    "idle": ("idle reference: 5 s left", "sleep"),
    "wave": ("sensor passport: 47 s left", "run"),
    "writing": ("", "write_table"),
    "linking": ("", "link"),
}
"""What the log said (a regular expression), and what is done next."""

said: set[str] = set()


class Listener(logging.Handler):
    """Notes what was said so far."""

    def emit(self, record: logging.LogRecord) -> None:
        said.add(record.getMessage())


def pausing(done: Callable[..., Any], text: str, after: bool) -> Callable[..., Any]:
    """The function, which waits the first time that the log has said the text."""

    def call(*arguments: Any, **options: Any) -> Any:
        if after:
            done(*arguments, **options)
        if not Path("reached").exists() and any(re.match(text, line) for line in (*said, "")):
            Path("reached").touch()
            while not Path("go").exists():
                time.sleep(0.01)
        return None if after else done(*arguments, **options)

    return call


def run() -> None:
    text, name = MOMENTS[sys.argv.pop(1)]
    holders: dict[str, Any] = {"write_table": pq, "link": os}
    holder = holders.get(name, VirtualGpu)
    setattr(holder, name, pausing(getattr(holder, name), text, name == "write_table"))
    logging.getLogger("nic_energy").addHandler(Listener())
    main()


if __name__ == "__main__":
    run()
