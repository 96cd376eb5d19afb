"""When the tests of a real GPU run, on which, and where their report goes.

They run in a session of their own (`make gpu-test`): the other tests put a fake NVML library in
the place of NVIDIA's.
"""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from nic_energy.errors import DeviceError
from nic_energy.measure.lock import device_lock
from nic_energy.worker.registry import clear_device
from tests.gpu.apart import Apart
from tests.gpu.findings import Finding, Report, UnmetError
from tests.gpu.rig import RESULTS, VIRTUAL, VIRTUAL_SEED, Rig, expected, rig

NOT_ASKED = "needs a GPU and a session of its own: make gpu-test"

WAIT_S = 60.0
"""A campaign that measures on the GPU for longer ends the test, which says so."""

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
        help="The GPU to test, as the config key `device` names it; `virtual` rehearses the tests.",
    )
    group.addoption(
        "--gpu-quick",
        action="store_true",
        help="Small images and short stretches of load: do the tests work at all?",
    )
    group.addoption(
        "--gpu-virtual-seed",
        type=int,
        default=VIRTUAL_SEED,
        help="Seed of the virtual GPU: that of a campaign tests the virtual GPU of the campaign.",
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
    device, quick = str(config.getoption("--gpu-device")), bool(config.getoption("--gpu-quick"))
    folder = Path(str(config.getoption("--gpu-results"))).absolute()
    source = "simulated" if device == VIRTUAL else "measured"
    report = Report(folder / "report.json", source, {"device": device, "uuid": None}, expected())
    config.stash[REPORT] = report
    try:
        found = rig(device, folder, quick, int(config.getoption("--gpu-virtual-seed")))
    except DeviceError as error:
        report.add(Finding("device", "the GPU is found", {}, (str(error),)))
        pytest.exit(f"no GPU test ran. {error}", returncode=DeviceError.exit_code)
    config.stash[RIG] = found
    report.device = {
        "device": device,
        "uuid": found.uuid,
        "exclusive_process": found.exclusive,
        "quick": found.quick,
    }


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the tests of a real GPU out of every other session."""
    if required(config):
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason=NOT_ASKED))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: "pytest.CallInfo[None]"
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A finding of every test that ended in another way than with a finding: it raised, its set-up
    or tear-down did, or it was skipped.
    """
    result = yield
    report = item.config.stash.get(REPORT, None)
    if report is None or result.passed:
        return result
    assert call.excinfo is not None
    if not isinstance(call.excinfo.value, UnmetError):
        how = "skipped" if result.skipped else "raised"
        text = f"{call.when}: {how}: {call.excinfo.typename}: {call.excinfo.value}"
        report.add(Finding(item.name, "the test ends with a finding", {}, (text,)))
    return result


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Say in the report how the session ended, which is no success where tests are missing."""
    report = session.config.stash.get(REPORT, None)
    if report is None:
        return
    report.finish(pytest.ExitCode(exitstatus).name.lower())
    if exitstatus == pytest.ExitCode.OK and not report.passed:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Show what was found, whatever came out of it."""
    report = config.stash.get(REPORT, None)
    if report is None:
        return
    device = f"{report.device['device']} ({report.device['uuid']})"
    terminalreporter.section(f"{report.source} on {device}")
    for line in report.lines():
        terminalreporter.line(line)
    terminalreporter.line(f"Report: {report.path}, passed: {str(report.passed).lower()}")


@pytest.fixture(scope="session")
def gpu(request: pytest.FixtureRequest) -> Rig:
    """What is tested."""
    return request.config.stash[RIG]


@pytest.fixture(scope="session")
def report(request: pytest.FixtureRequest) -> Report:
    """The report of this session."""
    return request.config.stash[REPORT]


@pytest.fixture(scope="class")
def apart(gpu: Rig) -> Iterator[Apart]:
    """A process for the tests of a class, with the GPU to itself: the workers of earlier campaigns
    have left, and no campaign begins.
    """
    clear_device(gpu.uuid, timeout_s=WAIT_S)
    with device_lock(gpu.uuid, WAIT_S):
        process = Apart()
        try:
            yield process
        finally:
            process.end()
