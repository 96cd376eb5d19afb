"""`nic-energy` as a process of its own, in a folder of its own."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from nic_energy.cli.main import main
from nic_energy.config import project_root
from nic_energy.config.merge import overlay
from nic_energy.interrupts import SIGNALS
from nic_energy.store import Attempt, RawStore
from tests.images.pictures import picture

ROOT = project_root()
KEY = "chain/tiny/q1/image"
PROGRAM = "from nic_energy.cli.main import main; main()"

CONFIG: dict[str, Any] = {
    "setup": "desk",
    "weights": "random",
    "networks_table": "networks.tsv",
    "networks": [{"name": "tiny", "qualities": [1]}],
    "images": {"collection": "photos", "source": "folder", "path": "."},
    "protocol": {
        "context_idle_s": 0.5,
        "paired_idle_s": 0.5,
        "paired_settle_max_s": 0.5,
        "preheat_celsius": None,
        "temperature_band_celsius": 100,
        "relative_width": 1,
        "min_repetitions": 2,
        "max_repetitions": 5,
    },
}
VIRTUAL: dict[str, Any] = {
    "device": "virtual",
    "meter": "virtual",
    "virtual": {"workload": "workload.csv", "noise_percent": 0.05},
    "protocol": {
        "idle_s": 10,
        "idle_settle_max_s": 0,
        "preheat_celsius": 70,
        "min_repetitions": 5,
    },
}
FAKE_NVML: dict[str, Any] = {
    "device": "cpu",
    "meter": "nvml",
    "test_switch": True,
    "protocol": {
        "idle_s": 1,
        "idle_settle_max_s": 0,
        "min_duration_s": 0.5,
        "lead_in_s": 0.1,
        "sampling_hz": 50,
    },
}
WORKLOAD = """network,level,alpha_j_per_pixel,beta_j,residual_percent,dynamic_power_w,ripple_share
tiny,low,2e-5,0.1,0,150,0
"""
NETWORKS = """network\tabbreviation\tlow\thigh\tpad_multiple\tfactory
tiny\tTiny\t1\t2\t4\ttests.workflow.tiny:build
"""


@dataclass(frozen=True)
class Done:
    """How a command ended; `text` is all that it printed."""

    code: int
    text: str

    def says(self, *pieces: str) -> None:
        """Fail unless it holds the pieces and ends with a message of its own."""
        for piece in pieces:
            assert piece in self.text, self.text
        assert self.message, self.text

    @property
    def message(self) -> str:
        """What it says last, empty where that is no message of its own."""
        last = self.text.rstrip().rpartition("\n")[2]
        return last if last.startswith("nic-energy: ") else ""


class Listener(logging.Handler):
    """Hands every message of the log on."""

    def __init__(self, on: Callable[[str], None]) -> None:
        super().__init__()
        self.on = on

    def emit(self, record: logging.LogRecord) -> None:
        self.on(record.getMessage())


@dataclass
class Desk:
    """The folder, the configuration, and the commands."""

    folder: Path
    config: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    def prepare(self, *layers: Mapping[str, Any]) -> "Desk":
        """Write the networks table, the workload, an image and the configuration."""
        picture(64, 48).save(self.folder / "image.png")
        (self.folder / "networks.tsv").write_text(NETWORKS)
        (self.folder / "workload.csv").write_text(WORKLOAD)
        self.config = CONFIG
        for layer in layers:
            self.configure(**layer)
        return self

    def configure(self, **changes: Any) -> None:
        """Change keys of the configuration; mappings are merged."""
        self.config = overlay(self.config, changes)
        (self.folder / "config.json").write_text(json.dumps(self.config))

    @property
    def results(self) -> Path:
        return self.folder / "results" / str(self.config["setup"])

    @property
    def idle_reference(self) -> Path:
        return self.results / "reference" / "idle.parquet"

    @property
    def passport_file(self) -> Path:
        return self.results / "reference" / "passport.json"

    @property
    def trace(self) -> Path:
        return self.results / "traces" / f"{KEY}.parquet"

    def attempts(self, key: str = KEY) -> list[Attempt]:
        """Attempts in the raw store, the newest first."""
        return list(RawStore(self.results).attempts(key))

    def parts(self) -> list[Path]:
        """Files that were never finished."""
        return sorted((self.folder / "results").rglob("*.part"))

    def arguments(self, command: str) -> list[str]:
        """The command as the workflow gives it."""
        start = ["--verbose", command, "--config", "config.json"]
        if command == "idle":
            environment = self.results / "reference" / "environment.json"
            return [*start, "--output", str(self.idle_reference), "--environment", str(environment)]
        if command == "passport":
            return [*start, "--output", str(self.passport_file)]
        return [
            *start,
            *("--network", "tiny", "--quality", "1", "--image", "image"),
            *("--image-file", "image.png", "--idle", str(self.idle_reference)),
            *("--output", str(self.trace)),
        ]

    def start(
        self, command: str, moment: str | None = None, keep: bool = False, **options: Any
    ) -> "Running":
        """Start a command, which waits at a moment of `paused`.

        Args:
            keep: another command waits, and is not to go on.
        """
        program = ["-c", PROGRAM]
        if moment:
            program = ["-m", "tests.faults.paused", moment]
        for name in () if keep else ("reached", "go"):
            (self.folder / name).unlink(missing_ok=True)
        log = self.folder / f"{command}.log"
        process = subprocess.Popen(
            [sys.executable, *program, *self.arguments(command)],
            cwd=self.folder,
            env=self.env(),
            stdin=subprocess.DEVNULL,
            stdout=log.open("w"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **options,
        )
        return Running(process, self.folder, log)

    def env(self) -> dict[str, str]:
        """The environment of a command: without what traces its coverage, which costs time."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_PROCESS")}
        return {
            **inherited,
            "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
            "PYTHONWARNINGS": "ignore",
            "TINY_BROKEN": "",
            **self.environment,
        }

    def run(self, command: str, **options: Any) -> Done:
        """Run a command to its end, whatever that is."""
        return self.start(command, **options).end()

    def here(self, command: str, on: Callable[[str], None] = lambda _: None) -> Done:
        """Run a command in this process, which has imported everything already.

        Args:
            on: called with every message of the log, before the command goes on.
        """
        handlers = {number: signal.getsignal(number) for number in SIGNALS}
        listener = Listener(on)
        logging.getLogger("nic_energy").addHandler(listener)
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            result = CliRunner().invoke(main, self.arguments(command))
        finally:
            logging.getLogger("nic_energy").removeHandler(listener)
            os.chdir(before)
            for number, handler in handlers.items():
                signal.signal(number, handler)
            logging.basicConfig(force=True)
        unforeseen = result.exception and not isinstance(result.exception, SystemExit)
        return Done(
            result.exit_code, result.output + (repr(result.exception) if unforeseen else "")
        )

    def succeed(self, command: str, **options: Any) -> str:
        """Run a command; the test fails with what it printed if it fails."""
        done = self.run(command, **options)
        assert done.code == 0, done.text
        return done.text


@dataclass
class Running:
    """A command under way."""

    process: "subprocess.Popen[bytes]"
    folder: Path
    log: Path

    def text(self) -> str:
        """What it has printed."""
        return self.log.read_text()

    def wait_for(self, condition: Callable[[], bool], seconds: float = 120) -> None:
        """Wait until something is so; the test fails if the command ends before."""
        end = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < end, self.text()
            time.sleep(0.01)

    def reach(self, moment: str | None = None) -> None:
        """Wait until the moment, or until the log says something."""
        if moment is None:
            self.wait_for((self.folder / "reached").exists)
        else:
            self.wait_for(lambda: moment in self.text())

    def signal(self, number: int, group: bool = False) -> None:
        """Send a signal to the process, or to all that it started too, as a scheduler does."""
        if group:
            os.killpg(self.process.pid, number)
        else:
            os.kill(self.process.pid, number)

    def go(self) -> None:
        """Let it go on from the moment at which it waits."""
        (self.folder / "go").touch()

    def end(self, seconds: float = 240) -> Done:
        """Wait for its end."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"it did not end:\n{self.text()}") from None
        return Done(code, self.text())
