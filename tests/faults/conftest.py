"""Set-ups for faults: prepared once a module, copied for every test."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fake_nvml import FakeNvml
from tests.faults.command import FAKE_NVML, VIRTUAL, Desk

STEADY = ("trace 1:200:100", "update_ms 5", "window_ms 5", "energy_ms 5")
"""A fake GPU under a steady load, whose sensor is fast."""


def copied(desk: Desk, folder: Path) -> Desk:
    shutil.copytree(desk.folder, folder)
    return Desk(folder, dict(desk.config), dict(desk.environment))


@pytest.fixture(scope="session")
def virtual_desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A virtual GPU with its idle reference."""
    desk = Desk(tmp_path_factory.mktemp("virtual")).prepare(VIRTUAL)
    desk.succeed("idle")
    return desk


@pytest.fixture
def virtual(virtual_desk: Desk, tmp_path: Path) -> Desk:
    """A virtual GPU with its idle reference, for one test."""
    return copied(virtual_desk, tmp_path / "desk")


@pytest.fixture
def fresh(tmp_path: Path) -> Desk:
    """A virtual GPU without an idle reference."""
    (tmp_path / "desk").mkdir()
    return Desk(tmp_path / "desk").prepare(VIRTUAL)


@pytest.fixture(scope="module")
def fake_desk(fake_nvml_built: FakeNvml, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A fake NVML GPU beside a processor that runs the networks, with its idle reference."""
    fake_nvml_built.put(*STEADY)
    desk = Desk(tmp_path_factory.mktemp("fake"), environment=fake_nvml_built.environment())
    desk.prepare(FAKE_NVML).succeed("idle")
    fake_nvml_built.put()
    return desk


@pytest.fixture
def fake(fake_desk: Desk, fake_nvml: FakeNvml, tmp_path: Path) -> Iterator[Desk]:
    """The fake GPU with its idle reference, for one test."""
    fake_nvml.put(*STEADY)
    yield copied(fake_desk, tmp_path / "desk")


@pytest.fixture
def put(fake_nvml: FakeNvml) -> Callable[..., None]:
    """What the fake GPU does besides."""
    return lambda *lines: fake_nvml.put(*STEADY, *lines)
