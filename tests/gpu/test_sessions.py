"""Sessions of the GPU tests: what their report says, however they end."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nic_energy.config import project_root
from nic_energy.files import write_json
from tests.gpu.conftest import NOT_ASKED
from tests.gpu.findings import Finding, Report

QUICKLY = """
import contextlib, os, sys
import pytest
from tests.gpu import apart, end_to_end, jobs, rig
from tests.gpu.findings import Finding

def job(name):
    def found(gpu, *arguments):
        return Finding(", ".join([name, *arguments]), "it is replaced", {})
    return found

end_to_end.measure = lambda *_: None
end_to_end.end_to_end = lambda *_: job("end_to_end")(None)
for finding in rig.expected()[1:]:
    name = finding.partition(",")[0]
    setattr(jobs, name, job(name))
apart.Apart.__call__ = lambda self, function, *arguments: function(*arguments)
"""
"""A plugin that puts a finding that passes in the place of each test, in the process of pytest."""


def session(
    *arguments: str, folder: Path, plugin: str = "", environment: dict[str, str] | None = None
) -> tuple["subprocess.CompletedProcess[str]", dict[str, Any]]:
    """A session and its report; `plugin` is code that is run before it."""
    (folder / "plugin_of_the_test.py").write_text(plugin)
    path = [str(folder), str(project_root() / "src"), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "plugin_of_the_test"),
            *("tests/gpu/test_real_gpu.py", "-rs", "--gpu-results", str(folder), *arguments),
        ],
        cwd=project_root(),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=300,
    )
    report = folder / "report.json"
    return done, json.loads(report.read_text()) if report.exists() else {}


VIRTUAL = ("--require-gpu", "--gpu-device", "virtual")


def test_in_every_other_session_they_are_skipped_with_the_reason(tmp_path: Path) -> None:
    done, report = session(folder=tmp_path)
    assert done.returncode == 0
    assert NOT_ASKED in done.stdout
    assert "passed" not in done.stdout.splitlines()[-1]
    assert not report


def test_without_a_gpu_it_says_that_nothing_ran_and_does_not_succeed(tmp_path: Path) -> None:
    write_json(tmp_path / "report.json", {"passed": True})  # of an earlier session
    done, report = session("--require-gpu", "--gpu-device", "cuda:99", folder=tmp_path)
    assert done.returncode == 3
    assert "no GPU test ran. device cuda:99: PyTorch" in done.stdout + done.stderr
    assert (report["passed"], report["ended"], len(report["missing"])) == (False, None, 14)
    assert "device cuda:99: PyTorch" in report["findings"][0]["problems"][0]


def test_tests_that_raise_or_are_skipped_are_findings_that_did_not_pass(tmp_path: Path) -> None:
    ill = f"""{QUICKLY}
def raising(gpu): raise RuntimeError("it broke")
jobs.same_device = raising
jobs.known_wave = lambda gpu: pytest.skip("not today")
def not_ended(self): raise RuntimeError("it did not end")
apart.Apart.end = not_ended
"""
    done, report = session(*VIRTUAL, folder=tmp_path, plugin=ill)
    assert done.returncode == 1
    assert (report["passed"], report["ended"]) == (False, "tests_failed")
    assert report["missing"] == ["same_device", "known_wave"]
    problems = [each["problems"][0] for each in report["findings"] if not each["passed"]]
    assert problems == [
        "call: raised: RuntimeError: it broke",
        "call: skipped: Skipped: not today",
        "teardown: raised: RuntimeError: it did not end",
        "teardown: raised: RuntimeError: it did not end",
    ]
    assert "INCOMPLETE, no finding of: same_device; known_wave." in done.stdout


def test_tests_whose_set_up_fails_are_findings_that_did_not_pass(tmp_path: Path) -> None:
    ill = f"""{QUICKLY}
from nic_energy.errors import DeviceError
from nic_energy.measure import lock
@contextlib.contextmanager
def held(*_):
    raise DeviceError("another measurement has held it")
    yield
lock.device_lock = held
"""
    done, report = session(*VIRTUAL, folder=tmp_path, plugin=ill)
    assert done.returncode == 1
    assert report["passed"] is False
    assert len(report["missing"]) == 13
    problems = [each["problems"] for each in report["findings"][1:]]
    wanted = "setup: raised: DeviceError: another measurement has held it"
    assert problems == 13 * [[wanted]]


@pytest.mark.parametrize(
    ("arguments", "ill", "ended"),
    [
        (("-k", "same_device or square"), "", "ok"),
        ((), "def stopped(gpu): raise KeyboardInterrupt\njobs.known_wave = stopped", "interrupted"),
        ((), "jobs.peak_memory = lambda gpu: os._exit(9)", None),
    ],
    ids=["partial", "interrupted", "died"],
)
def test_a_session_that_is_not_complete_never_passes(
    arguments: tuple[str, ...], ill: str, ended: str | None, tmp_path: Path
) -> None:
    done, report = session(*VIRTUAL, *arguments, folder=tmp_path, plugin=f"{QUICKLY}\n{ill}\n")
    assert done.returncode != 0
    assert all(each["passed"] for each in report["findings"])
    assert (report["passed"], report["ended"]) == (False, ended)
    assert "peak_memory" in report["missing"]


def test_a_complete_session_passes_once_the_worker_of_an_earlier_campaign_has_left(
    tmp_path: Path,
) -> None:
    """The worker would hold memory of the GPU and, in exclusive-process mode, the only context."""
    program, key = "import time; time.sleep(300)", "0123456789abcdef"
    runtime = tmp_path / "runtime"
    (runtime / "nic-energy").mkdir(parents=True, mode=0o700)
    told = f"{QUICKLY}\nfrom nic_energy.worker.registry import Address, Status, write_status\n"
    with subprocess.Popen([sys.executable, "-c", program, key]) as worker:
        told += f"""
made = rig.rig
def with_worker(*arguments):
    gpu = made(*arguments)
    status = Status({key!r}, {worker.pid}, gpu.uuid, "/", "2026-01-01T00:00:00Z", 1, None)
    write_status(Address(rig.Path({str(runtime / "nic-energy")!r}), {key!r}), status)
    return gpu
rig.rig = with_worker
"""
        environment = {"XDG_RUNTIME_DIR": str(runtime)}
        try:
            done, report = session(*VIRTUAL, folder=tmp_path, plugin=told, environment=environment)
            assert worker.wait(10) == -15
        finally:
            worker.kill()
    assert done.returncode == 0, done.stdout
    assert (report["passed"], report["ended"], report["missing"]) == (True, "ok", [])


LEDGER = """
import atexit, os, sys, time
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "torch" and self in sys.meta_path:
            sys.meta_path.remove(self)
            note("begin")
            atexit.register(note, "end")
def note(word):
    with open(os.environ["LEDGER"], "a") as file:
        file.write(f"{os.getpid()} {word} {time.monotonic()}\\n")
sys.meta_path.insert(0, Finder())
"""
"""A sitecustomize that notes which process has PyTorch, without which there is no CUDA context."""

EXCLUSIVE = """
from dataclasses import replace
from tests.gpu import rig
made = rig.rig
rig.rig = lambda *arguments: replace(made(*arguments), exclusive=True)
"""


@pytest.mark.parametrize(
    ("plugin", "most"), [("", 2), (EXCLUSIVE, 1)], ids=["default", "exclusive"]
)
def test_in_exclusive_process_mode_one_process_at_a_time_can_hold_a_context(
    plugin: str, most: int, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    (tmp_path / "sitecustomize.py").write_text(LEDGER)
    done, report = session(
        *(*VIRTUAL, "-k", "outputs_are_equal and hyperprior"),
        folder=tmp_path,
        plugin=plugin,
        environment={"LEDGER": str(ledger)},
    )
    assert [each["passed"] for each in report["findings"]] == [True], done.stdout
    notes = [line.split() for line in ledger.read_text().splitlines()]
    assert at_once(notes) == most
    beside = [key for key in report["findings"][0]["numbers"] if key.startswith("beside")]
    assert beside == [
        "beside another process"
        if most == 2
        else "beside another stream of this process (the GPU is in exclusive-process mode)"
    ]


def at_once(notes: list[list[str]]) -> int:
    """How many processes had PyTorch at the same time, at most."""
    there: set[str] = set()
    most = 0
    for pid, word, _ in sorted(notes, key=lambda note: float(note[2])):
        there = there | {pid} if word == "begin" else there - {pid}
        most = max(most, len(there))
    return most


def test_the_report(tmp_path: Path) -> None:
    about = {"device": "cuda:0", "uuid": "GPU-x"}
    report = Report(tmp_path / "report.json", "measured", about, ["one", "two"])
    written = json.loads(report.path.read_text())
    assert (written["passed"], written["missing"]) == (False, ["one", "two"])
    report.add(Finding("one", "it works", {"joules": 1.23456789}, bars={"a: b": "1 of 2"}))
    report.add(Finding("two", "it works too", {}, (), ("it is hot",), {"a: b": "2 of 3"}))
    assert json.loads(report.path.read_text())["passed"] is False
    report.finish("ok")
    written = json.loads(report.path.read_text())
    assert (written["passed"], written["bars"]) == (True, {"a: b": "1 of 2; 2 of 3"})
    assert report.lines() == [
        "passed one: it works",
        "    joules 1.2346",
        "passed two: it works too",
        "    ",
        "    warning: it is hot",
        "BARRED on this card: a: b (1 of 2; 2 of 3)",
    ]
    report.add(Finding("two", "it does not", {}, ("so bad",)))
    written = json.loads(report.path.read_text())
    assert written["passed"] is False
    assert [each["passed"] for each in written["findings"]] == [True, True, False]
    assert "    so bad" in report.lines()
