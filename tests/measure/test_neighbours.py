"""Two devices of one machine: one measurement at a time, unless neighbours are allowed."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nic_energy.errors import DeviceError
from nic_energy.measure import neighbours
from nic_energy.measure.neighbours import Machine, measuring

HOLD = """
import sys
from nic_energy.measure.neighbours import Machine, measuring
with measuring(sys.argv[1], Machine(sys.argv[2]), sys.argv[3]):
    print("held", flush=True)
    sys.stdin.read()
"""
HERE = Machine(f"{os.getpid():08x}")
ONE = "GPU-fa4e0000-0000-4000-8000-000000000000"
OTHER = "GPU-fa4e0001-0000-4000-8000-000000000000"


def holding(rule: str, uuid: str = OTHER) -> "subprocess.Popen[str]":
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, uuid, HERE.label, rule],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


@pytest.fixture(params=["wait", "refuse", "allow"])
def neighbour(request: pytest.FixtureRequest) -> Iterator["subprocess.Popen[str]"]:
    """A process that measures the other GPU, under each rule."""
    process = holding(request.param)
    yield process
    process.communicate("")


def test_a_neighbour_that_is_measured_is_refused_at_once(
    neighbour: "subprocess.Popen[str]",
) -> None:
    with pytest.raises(DeviceError) as caught, measuring(ONE, HERE, "refuse"):
        raise AssertionError
    assert f"device {ONE}: {OTHER} is being measured on the same machine" in str(caught.value)
    assert "neighbours: allow" in str(caught.value)
    assert f"process {neighbour.pid} of user " in str(caught.value)
    assert re.search(
        rf"holds @nic-energy-at-{HERE.label}-(alone|beside)-{OTHER}\..*ss -xlp.*no file to remove",
        str(caught.value),
    )


def test_waiting_has_an_end(neighbour: "subprocess.Popen[str]") -> None:
    with pytest.raises(DeviceError) as caught, measuring(ONE, HERE, "wait", timeout_s=0.5):
        raise AssertionError
    assert OTHER in str(caught.value)


def test_who_waits_comes_next(
    neighbour: "subprocess.Popen[str]",
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits = threading.Event()
    monkeypatch.setattr(neighbours, "POLL_S", 0.05)
    monkeypatch.setattr(neighbours.log, "info", lambda *_: waits.set())
    done = threading.Event()

    def measure() -> None:
        with measuring(ONE, HERE, "wait", timeout_s=60) as beside:
            assert not beside.seen
        done.set()

    thread = threading.Thread(target=measure)
    thread.start()
    assert waits.wait(60)
    assert not done.is_set()
    neighbour.communicate("")
    thread.join(60)
    assert done.is_set()


def test_neighbours_that_all_allow_it_are_measured_at_once_and_it_is_said() -> None:
    other = holding("allow")
    with measuring(ONE, HERE, "allow", timeout_s=60) as beside:
        assert beside.seen == {OTHER}
        assert beside.flags == ("neighbour_measured",)
    other.communicate("")
    with measuring(ONE, HERE, "allow", timeout_s=60) as beside:
        assert not beside.seen
        assert beside.flags == ()
        other = holding("allow")
        beside.look()
        other.communicate("")
        assert beside.seen == {OTHER}


def test_who_wants_the_machine_alone_is_left_alone_by_those_who_would_not_mind() -> None:
    alone = holding("wait")
    with (
        pytest.raises(DeviceError, match="is being measured"),
        measuring(ONE, HERE, "allow", timeout_s=0.5),
    ):
        raise AssertionError
    alone.communicate("")


def test_another_machine_is_no_neighbour(tmp_path: Path) -> None:
    other = holding("refuse")
    elsewhere = Machine(f"{HERE.label[:-1]}x")
    with measuring(ONE, elsewhere, "refuse") as beside:
        assert not beside.seen
    other.communicate("")
    real = {Machine.of(device, tmp_path) for device in ("cuda:0", "cuda:1", ONE, "cpu")}
    assert len(real) == 1
    assert Machine.of("virtual", tmp_path) not in real
    assert Machine.of("virtual", tmp_path) != Machine.of("virtual", tmp_path / "other")


def test_a_killed_neighbour_leaves_nothing() -> None:
    other = holding("wait")
    other.kill()
    other.wait()
    with measuring(ONE, HERE, "wait", timeout_s=60):
        pass


def test_never_two_on_one_device_whatever_is_allowed() -> None:
    other = holding("allow", ONE)
    with (
        pytest.raises(DeviceError, match="another measurement has held it"),
        measuring(ONE, HERE, "allow", timeout_s=0.5),
    ):
        raise AssertionError
    other.communicate("")


def test_a_table_that_cannot_be_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "TABLE", tmp_path / "none")
    with pytest.raises(DeviceError, match="cannot be read"), measuring(ONE, HERE, "wait"):
        raise AssertionError
