"""One modality on a device whose power is known, through everything but a real network."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from nic_energy.config import project_root, read_networks, resolve
from nic_energy.errors import DeviceError, MeasurementError, MeterError, MismatchError
from nic_energy.measure import idle as idle_module
from nic_energy.measure import workshop as workshop_module
from nic_energy.measure.device import LoadedModality, LoadRequest
from nic_energy.measure.idle import IdleRequest, measure_idle
from nic_energy.measure.modality import MeasureRequest, measure_modality
from nic_energy.store import RawStore
from nic_energy.traces import ImageInfo, MeterInfo, TraceMeta, read_meta, read_trace
from tests.protocol.bench import JumpingDevice, meter_info

CONFIG = resolve({"device": "cpu", "meter": "cpu_load"})


@dataclass
class Report:
    samples: int = 0
    missed_deadlines: int = 0


class FakeBackend:
    """JumpingDevice behind the interface of a backend."""

    def __init__(self, device: JumpingDevice, uuid: str = "TEST-1") -> None:
        self.device, self.uuid = device, uuid
        self.clock = device
        self.closed = False
        self.on_load: Callable[[], None] = lambda: None
        self.failing: Exception | None = None

    def device_uuid(self) -> str:
        return self.uuid

    def sampler(self) -> "FakeBackend":
        return self

    def start(self) -> MeterInfo:
        self.device.sleep(0.5)
        return replace(meter_info(), device_uuid=self.uuid)

    def collect(self) -> Any:
        if self.failing is not None:
            raise self.failing
        return self.device.collect()

    def latest(self) -> Any:
        return self.device.latest()

    def stop(self) -> Report:
        return Report(len(self.device.samples))

    def load(self, request: LoadRequest) -> LoadedModality:
        self.on_load()
        info = ImageInfo(request.image, request.image_sha256, 30, 20, 32, 32)
        return LoadedModality(self.device, info, {"precision": "fp32"}, 0.5, 30.0)

    def run_settings(self) -> dict[str, Any]:
        return {"precision": "fp32"}

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBackend]:
    fake = FakeBackend(JumpingDevice(execution_s=0.05, idle_w=20, load_w=120))
    for module in (workshop_module, idle_module):
        monkeypatch.setattr(module, "open_backend", lambda *a, **k: fake)
    yield fake


def idle(folder: Path, **changes: Any) -> TraceMeta:
    request = IdleRequest(
        "test",
        folder,
        CONFIG.idle_settings(),
        CONFIG.settings(),
        folder / "reference" / "idle.parquet",
        folder / "reference" / "environment.json",
    )
    return measure_idle(replace(request, **changes))


def request(folder: Path, **changes: Any) -> MeasureRequest:
    image = folder / "image.png"
    image.write_bytes(b"pixels")
    networks = read_networks(project_root() / "config" / "networks.tsv")
    made = MeasureRequest(
        setup="test",
        setup_folder=folder,
        part="chain",
        network=networks["mbt2018"],
        quality=6,
        image="image",
        image_path=image,
        settings=CONFIG.settings(),
        power_field="auto",
        idle=folder / "reference" / "idle.parquet",
        output=folder / "traces" / "image.parquet",
    )
    return replace(made, **changes)


def test_the_trace_holds_everything_and_its_energy_is_the_devices(
    tmp_path: Path, backend: FakeBackend
) -> None:
    meta = idle(tmp_path)
    assert meta.idle_power_w["power_instant_w"] == pytest.approx(20)
    assert (tmp_path / "reference" / "environment.json").exists()

    outcome = measure_modality(request(tmp_path))

    trace = read_trace(tmp_path / "traces" / "image.parquet")
    assert trace.meta == outcome.meta
    assert not outcome.linked
    assert trace.meta.outcome == "accepted"
    assert trace.meta.source == "simulated"
    assert trace.meta.modality is not None
    assert (trace.meta.modality.level, trace.meta.modality.image.padded_pixels) == ("high", 1024)
    assert (trace.meta.bpp, trace.meta.psnr_db) == (0.5, 30.0)
    assert trace.meta.preheat["outcome"] == "no_thermometer"
    assert len(trace.meta.windows) == 5
    assert trace.meta.stopping["mean"] == pytest.approx(0.05 * 100)
    assert trace.meta.stopping["power_field"] == "power_instant_w"
    assert trace.samples.num_rows > 5 * 50
    assert backend.closed


def test_an_equal_accepted_attempt_is_linked_not_measured_again(
    tmp_path: Path, backend: FakeBackend
) -> None:
    idle(tmp_path)
    first = measure_modality(request(tmp_path))
    first_runs = len(backend.device.runs)
    (tmp_path / "traces" / "image.parquet").unlink()
    again = measure_modality(request(tmp_path))
    assert again.linked
    assert again.attempt == first.attempt
    assert len(backend.device.runs) == first_runs
    assert (tmp_path / "traces" / "image.parquet").exists()


@pytest.mark.parametrize("change", ["settings", "image", "fresh"])
def test_other_settings_another_image_or_a_wish_measure_again(
    tmp_path: Path, backend: FakeBackend, change: str
) -> None:
    idle(tmp_path)
    measure_modality(request(tmp_path))
    changed = request(tmp_path)
    if change == "settings":
        changed = replace(changed, settings={**CONFIG.settings(), "precision": "tf32"})
    elif change == "image":
        changed.image_path.write_bytes(b"other pixels")
    else:
        changed = replace(changed, fresh=True)
    assert not measure_modality(changed).linked
    assert len(list((tmp_path / "raw" / "chain").rglob("*.parquet"))) == 2


def fail_after(device: JumpingDevice, runs: int, error: BaseException) -> None:
    run = device.run

    def failing(executions: int) -> tuple[float, float]:
        if len(device.runs) >= runs:
            raise error
        return run(executions)

    device.run = failing  # type: ignore[method-assign]


@pytest.mark.parametrize(
    "error",
    [
        MeterError("GPU is lost"),
        MeasurementError("out of memory"),
        KeyboardInterrupt(),
        ZeroDivisionError("a bug"),
    ],
    ids=["meter", "measurement", "interrupt", "unforeseen"],
)
def test_a_failed_attempt_is_kept_with_its_samples_and_its_reason(
    tmp_path: Path, backend: FakeBackend, error: BaseException
) -> None:
    idle(tmp_path)
    backend.device.samples.clear()
    backend.device.taken = 0
    fail_after(backend.device, 60, error)
    with pytest.raises(type(error)):
        measure_modality(request(tmp_path))
    assert not (tmp_path / "traces").exists()
    (kept,) = (tmp_path / "raw" / "chain").rglob("*.parquet")
    meta = read_meta(kept)
    assert meta.outcome == "failed"
    assert meta.error is not None
    assert meta.error.startswith(type(error).__name__)
    assert read_trace(kept).samples.num_rows > 10
    store = RawStore(tmp_path)
    assert len(list(store.attempts("chain/mbt2018/q6/image"))) == 1
    assert backend.closed


def test_windows_of_a_device_that_does_not_hold_still_are_kept(
    tmp_path: Path, backend: FakeBackend
) -> None:
    idle(tmp_path)
    backend.device.hz = 0.2
    with pytest.raises(MeasurementError, match="not admissible"):
        measure_modality(request(tmp_path))
    (kept,) = (tmp_path / "raw" / "chain").rglob("*.parquet")
    assert len(read_meta(kept).windows) == 11


def test_a_network_that_does_not_fit_is_kept_as_an_attempt_without_samples(
    tmp_path: Path, backend: FakeBackend
) -> None:
    idle(tmp_path)

    def refuse() -> None:
        raise MeasurementError("ran out of memory")

    backend.on_load = refuse
    with pytest.raises(MeasurementError):
        measure_modality(request(tmp_path))
    (kept,) = RawStore(tmp_path).attempts(request(tmp_path).key)
    assert (kept.meta.outcome, kept.meta.source) == ("failed", "simulated")
    assert kept.meta.error == "MeasurementError: ran out of memory"
    assert read_trace(kept.path).samples.num_rows == 0


def test_what_fails_before_a_device_is_there_leaves_no_attempt(
    tmp_path: Path, backend: FakeBackend
) -> None:
    idle(tmp_path)

    def refuse() -> None:
        raise DeviceError("no such device")

    backend.on_load = refuse
    with pytest.raises(DeviceError):
        measure_modality(request(tmp_path))
    assert not (tmp_path / "raw" / "chain").exists()


def test_who_waits_for_the_device_has_not_opened_it(
    tmp_path: Path, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CUDA context of a process that waits would disturb the one that measures."""
    idle(tmp_path)

    def opened(*_: Any, **__: Any) -> FakeBackend:
        raise AssertionError("opened before the lock was held")

    def busy(uuid: str, timeout_s: float) -> Any:
        raise DeviceError(f"device {uuid}: another measurement has held it")

    monkeypatch.setattr(workshop_module, "open_backend", opened)
    monkeypatch.setattr("nic_energy.measure.neighbours.device_lock", busy)
    with pytest.raises(DeviceError, match="TEST-1: another measurement has held it"):
        measure_modality(request(tmp_path))


def test_another_gpu_than_the_idle_references_is_refused(
    tmp_path: Path, backend: FakeBackend
) -> None:
    idle(tmp_path)
    backend.uuid = "TEST-2"
    with pytest.raises(MismatchError, match=r"TEST-1.*TEST-2.*`setup` label"):
        measure_modality(request(tmp_path))
    with pytest.raises(MismatchError, match="bound to"):
        idle(tmp_path, fresh=True)


def test_a_set_up_is_bound_by_accepted_references_alone(
    tmp_path: Path, backend: FakeBackend
) -> None:
    backend.uuid = "TEST-2"
    backend.failing = MeterError("GPU is lost")
    with pytest.raises(MeterError):
        idle(tmp_path)
    assert [a.meta.outcome for a in RawStore(tmp_path).attempts("idle")] == ["failed"]
    assert RawStore(tmp_path).bound() is None
    backend.uuid, backend.failing = "TEST-1", None
    idle(tmp_path)
    bound = RawStore(tmp_path).bound()
    assert bound is not None
    assert bound.device_uuid == "TEST-1"


def test_an_unknown_power_field_names_those_there_are(tmp_path: Path, backend: FakeBackend) -> None:
    idle(tmp_path)
    with pytest.raises(MismatchError, match=r"no power_average_w; it has power_instant_w"):
        measure_modality(request(tmp_path, power_field="power_average_w"))


def test_the_idle_reference_of_the_session_is_linked_again(
    tmp_path: Path, backend: FakeBackend
) -> None:
    first = idle(tmp_path)
    then = backend.device.now()
    assert idle(tmp_path) == first
    assert backend.device.now() - then < 2
    assert idle(tmp_path, fresh=True).created_utc >= first.created_utc
    assert len(list((tmp_path / "raw" / "idle").iterdir())) == 2
