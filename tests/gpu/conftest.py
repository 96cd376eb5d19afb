"""When the tests of a real GPU run, on which, and where their report goes.

They run in a session of their own (`make gpu-test`): the other tests put a fake NVML library in
the place of NVIDIA's.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from nic_energy.codecs.execution import CUBLAS_WORKSPACE
from nic_energy.errors import DeviceError
from nic_energy.measure.lock import device_lock
from tests.gpu.findings import Report
from tests.gpu.rig import RESULTS, Rig, rig
from tests.gpu.station import Loaded

NOT_ASKED = "needs a GPU and a session of its own: make gpu-test"

RIG = pytest.StashKey[Rig]()
REPORT = pytest.StashKey[Report]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("GPU")
    group.addoption(
        "--require-gpu", action="store_true", help="Run the tests of a real GPU; fail without one."
    )
    group.addoption(
        "--gpu-device",
        default="cuda:0",
        help="The GPU to test, as PyTorch counts; `virtual` rehearses on a virtual one.",
    )
    group.addoption("--gpu-results", default=str(RESULTS), help="Folder of the report.")


def required(config: pytest.Config) -> bool:
    """Whether this is the session of the GPU. The option is unknown where all tests run."""
    return bool(config.getoption("--require-gpu", default=False))


def pytest_sessionstart(session: pytest.Session) -> None:
    """End at once, and not with success, where there is no GPU."""
    config = session.config
    if not required(config):
        return
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = CUBLAS_WORKSPACE  # before CUDA starts
    device = str(config.getoption("--gpu-device"))
    try:
        found = rig(device, Path(str(config.getoption("--gpu-results"))).absolute())
    except DeviceError as error:
        pytest.exit(f"no GPU test ran. {error}", returncode=DeviceError.exit_code)
    config.stash[RIG] = found
    config.stash[REPORT] = Report(
        found.folder / "report.json", found.source, {"device": device, "uuid": found.uuid}
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the tests of a real GPU out of every other session."""
    if required(config):
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason=NOT_ASKED))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Show what was found, whatever came out of it."""
    report = config.stash.get(REPORT, None)
    if report is None or not report.findings:
        return
    device = f"{report.device['device']} ({report.device['uuid']})"
    terminalreporter.section(f"{report.source} on {device}")
    for line in report.lines():
        terminalreporter.line(line)
    terminalreporter.line(f"Report: {report.path}")


@pytest.fixture(scope="session")
def gpu(request: pytest.FixtureRequest) -> Rig:
    """What is tested."""
    return request.config.stash[RIG]


@pytest.fixture(scope="session")
def report(request: pytest.FixtureRequest) -> Report:
    """The report of this session."""
    return request.config.stash[REPORT]


@pytest.fixture
def alone(gpu: Rig) -> Iterator[None]:
    """The lock of the GPU: no campaign runs beside a test."""
    with device_lock(gpu.uuid, timeout_s=60):
        yield


@pytest.fixture(scope="class")
def loaded(gpu: Rig) -> Iterator[Loaded]:
    """The load of the sensor's passport beside the campaign's sampler."""
    with gpu.station.bench() as bench:
        yield bench
