"""Starts the daemons of a cluster, and takes all of it down when whoever started it is gone.

It adopts what its descendants leave behind (PR_SET_CHILD_SUBREAPER), such as the step daemons and
jobs that outlive slurmd, and ends when its input ends: with the test, however that ends.

Each line of its input is JSON, `{"start": name, "argv": [...]}` or `{"kill": name}`, and is
answered by a line.
"""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
POLL_S = 0.05


def main(folder: Path) -> None:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Not ignored, which the daemons and their jobs would inherit.
        signal.signal(number, lambda *_: None)
    daemons: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for line in sys.stdin:
            order = json.loads(line)
            if "start" in order:
                name = order["start"]
                with (folder / f"{name}.out").open("ab") as out:
                    daemons[name] = subprocess.Popen(
                        order["argv"], stdin=subprocess.DEVNULL, stdout=out, stderr=out
                    )
                print(daemons[name].pid, flush=True)
            else:
                daemon = daemons.pop(order["kill"])
                daemon.kill()
                print(daemon.wait(), flush=True)
    finally:
        end_all()


def end_all() -> None:
    """Kill all descendants, and those that they leave to this process, until there are none."""
    while children := children_of(os.getpid()):
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(POLL_S)


def children_of(pid: int) -> list[int]:
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        found += map(int, path.read_text().split())
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]))
