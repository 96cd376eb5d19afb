"""Which failures are tried once more, and which end a campaign."""

import os
import signal
from typing import Any

import pytest

from nic_energy.errors import (
    ConfigError,
    CudaError,
    DeviceError,
    MeasurementError,
    MeterError,
)
from nic_energy.worker import again

MODALITY = ["measure", "--config", "c.json", "--idle", "idle.parquet"]
PHOTO = ["measure", "photo.png"]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Processes that would have begun, and signals that would have been sent."""
    found: list[Any] = []
    monkeypatch.delenv(again.SECOND, raising=False)
    monkeypatch.setattr(os, "execve", lambda _, command, env: found.append((command[3:], env)))
    monkeypatch.setattr(os, "kill", lambda process, number: found.append((process, number)))
    monkeypatch.setattr(again, "snakemake", lambda: 4711)
    return found


@pytest.mark.parametrize(
    ("error", "arguments"),
    [
        (CudaError, MODALITY),
        (DeviceError, MODALITY),
        (MeterError, MODALITY),
        (CudaError, PHOTO),
        (CudaError, ["passport"]),
    ],
)
def test_a_failure_of_the_device_is_tried_once_more_in_a_new_process(
    calls: list[Any], error: type[CudaError], arguments: list[str]
) -> None:
    again.after(error.exit_code, arguments)
    command, environment = calls[0]
    assert command == arguments
    assert environment[again.SECOND]


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        (0, MODALITY),
        (None, MODALITY),
        (ConfigError.exit_code, MODALITY),
        (MeasurementError.exit_code, MODALITY),
        (DeviceError.exit_code, PHOTO),
        (DeviceError.exit_code, ["doctor"]),
        (MeterError.exit_code, ["idle", "--config", "c.json"]),
    ],
)
def test_what_a_new_process_does_not_change_is_not_tried_again(
    calls: list[Any], code: int | None, arguments: list[str]
) -> None:
    again.after(code, arguments)
    assert calls == []


def test_the_second_failure_ends_the_campaign_and_only_a_campaign(
    calls: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(again.SECOND, "1")
    again.after(CudaError.exit_code, PHOTO)
    assert calls == []
    assert "failed twice in a row" in capsys.readouterr().err
    again.after(MeterError.exit_code, MODALITY)
    assert calls == [(4711, signal.SIGTERM)]
    said = capsys.readouterr().err
    assert "Xid" in said
    assert "the campaign ends here" in said


def test_the_snakemake_that_schedules_is_found_and_no_other_ancestor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commands = {
        5: "nic-energy measure",
        4: "bash -c snakemake",
        3: "/opt/env/bin/python -m snakemake --mode subprocess",
        2: "/opt/env/bin/python /opt/env/bin/snakemake --cores 1",
        1: "snakemake of-another-workflow",
    }
    monkeypatch.setattr(again, "_words", lambda pid: commands[pid].encode().split())
    for ancestors, found in (([5, 4, 3, 2, 1], 2), ([5, 4, 1], 1), ([5, 4, 3], None)):
        monkeypatch.setattr(again, "_ancestors", lambda ancestors=ancestors: iter(ancestors))
        assert again.snakemake() == found
    monkeypatch.undo()
    assert os.getppid() in again._ancestors()
    assert again._words(os.getpid())
