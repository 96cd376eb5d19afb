"""The order of steps, time left, and a command that is run."""

import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

import pytest

from nic_energy.config import project_root
from nic_energy.errors import MeterError, StoreError
from nic_energy.first_light.commands import last_words, run
from nic_energy.first_light.steps import (
    Done,
    NoGpuError,
    Progress,
    Result,
    Step,
    exit_code,
    failed,
    left_s,
    run_steps,
)

Act = Callable[[Callable[[Progress], None]], Result]


class Silent:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def begin(self, number: int, steps: Sequence[Step]) -> None:
        self.said.append(f"{number} of {len(steps)}")

    def tell(self, progress: Progress) -> None:
        self.said.append(progress.text)

    def end(self, done: Done) -> None:
        self.said.append(f"{done.name} {done.result.state}")


def passing(tell: Callable[[Progress], None]) -> Result:
    tell(Progress("half of it", 0.5))
    return Result("passed", "fine")


def raising(error: Exception) -> Act:
    def act(tell: Callable[[Progress], None]) -> Result:
        raise error

    return act


def steps(*acts: Act) -> list[Step]:
    return [Step(f"step{n}", 10.0, f"step{n}.log", act) for n, act in enumerate(acts, start=1)]


def test_a_step_that_fails_does_not_hide_the_others() -> None:
    show, ticks = Silent(), count()
    acts = (
        passing,
        raising(MeterError("the sensor fails")),
        raising(OSError(28, "No space left on device", "results")),
        lambda tell: Result("failed", "one of 13", 3),
        passing,
    )
    done = run_steps(steps(*acts), show, lambda: float(next(ticks)))
    assert [each.result.state for each in done] == ["passed", *["failed"] * 3, "passed"]
    assert done[1].result.note == "the sensor fails"
    assert done[2].result.note == "results: No space left on device"
    assert [each.name for each in failed(done)] == ["step2", "step3", "step4"]
    assert exit_code(done) == MeterError.exit_code
    assert {each.seconds for each in done} == {1.0}
    assert show.said[:3] == ["1 of 5", "half of it", "step1 passed"]


def test_without_a_gpu_no_further_step_runs() -> None:
    with pytest.raises(NoGpuError):
        run_steps(steps(raising(NoGpuError("none")), passing), Silent(), lambda: 0.0)


def test_a_step_that_could_not_run_is_no_success() -> None:
    done = [Done("bundle", "", Result("not run", "there is no trace", 10), 0.0)]
    assert exit_code(done) == 10
    assert exit_code([Done("pilot", "", Result("failed", "", 0), 0.0)]) == 1
    assert exit_code([Done("pilot", "", Result("reused", ""), 0.0)]) == 0


@pytest.mark.parametrize(
    ("elapsed", "share", "left"), [(0, None, 20), (4, None, 16), (40, None, 10), (4, 0.75, 12.5)]
)
def test_time_left(elapsed: float, share: float | None, left: float) -> None:
    assert left_s(steps(passing, passing, passing), 2, elapsed, share) == left


def test_a_command_writes_its_log_and_its_output(tmp_path: Path) -> None:
    log, output = tmp_path / "logs" / "a.log", tmp_path / "a.json"
    program = "import sys; print('{}'); print('nic-energy: no', file=sys.stderr); sys.exit(3)"
    command = [sys.executable, "-c", program]
    assert run(command, log, lambda: None, {}, output=output) == 3
    assert output.read_text() == "{}\n"
    assert last_words(log) == "nic-energy: no"
    assert run([sys.executable, "-c", "print(1)"], log, lambda: None, {}) == 0
    assert log.read_text() == "nic-energy: no\n1\n", "a second command of a step is appended"


def test_a_request_to_stop_is_handed_on_to_what_runs(tmp_path: Path) -> None:
    child = tmp_path / "child"
    program = f"""
        import sys, time
        from pathlib import Path
        from nic_energy import interrupts
        from nic_energy.first_light.commands import run
        interrupts.install()
        inner = '''
        import time, pathlib
        try:
            pathlib.Path({str(child)!r}).write_text("runs")
            time.sleep(60)
        except KeyboardInterrupt:
            pathlib.Path({str(child)!r}).write_text("stopped")
        '''
        import textwrap
        run([sys.executable, "-c", textwrap.dedent(inner)], Path({str(tmp_path / "a.log")!r}),
            lambda: None, {{}})
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={"PYTHONPATH": str(project_root() / "src")},
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (child.exists() and child.read_text() == "runs"):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert "stopped by SIGTERM" in said
    assert child.read_text() == "stopped"


def test_errors_of_a_file_are_no_mystery(tmp_path: Path) -> None:
    assert last_words(tmp_path / "none.log") == ""
    done = run_steps(steps(raising(StoreError("disk full"))), Silent(), lambda: 0.0)
    assert exit_code(done) == StoreError.exit_code
