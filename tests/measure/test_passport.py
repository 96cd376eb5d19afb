"""The passport on the virtual GPU: raw store, file, and the measurement that goes by it."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from nic_energy import campaign
from nic_energy.cli.main import main
from nic_energy.config import Config, resolve
from nic_energy.energy.estimators import window_energies
from nic_energy.energy.passport import from_document
from nic_energy.errors import ConfigError, DeviceError, MeterError, MismatchError, StoreError
from nic_energy.files import digest_of, write_json
from nic_energy.measure import passport as passport_module
from nic_energy.measure.backends import TorchBackend
from nic_energy.measure.burning import Burn
from nic_energy.measure.idle import IdleRequest, measure_idle
from nic_energy.measure.modality import MeasureRequest, measure_modality
from nic_energy.measure.passport import PassportRequest, known_sensor, measure_passport
from nic_energy.measure.simulate import simulate_campaign
from nic_energy.store import RawStore
from nic_energy.traces import Trace, read_meta, read_trace

PROTOCOL = {
    "idle_s": 5,
    "idle_settle_max_s": 5,
    "context_idle_s": 1,
    "paired_idle_s": 1,
    "preheat_celsius": None,
    "min_duration_s": 2,
    "sampling_hz": "auto",
    "lead_in_s": "auto",
    "max_repetitions": 6,
}


def config_of(gpu: str = "hopper", **changes: Any) -> Config:
    return resolve(
        {
            "setup": "virtual",
            "device": "virtual",
            "meter": "virtual",
            "weights": "random",
            "networks": [{"name": "mbt2018", "qualities": [3]}],
            "virtual": {"gpu": gpu},
            "protocol": PROTOCOL,
            **changes,
        }
    )


CONFIG = config_of()


def request_of(folder: Path, config: Config = CONFIG, **changes: Any) -> PassportRequest:
    made = PassportRequest(
        config.setup,
        folder,
        config.passport_settings(),
        config.settings(),
        folder / "reference" / "passport.json",
    )
    return replace(made, **changes)


def idle(folder: Path, config: Config = CONFIG) -> Path:
    output = folder / "reference" / "idle.parquet"
    environment = folder / "reference" / "environment.json"
    measure_idle(
        IdleRequest(
            config.setup, folder, config.idle_settings(), config.settings(), output, environment
        )
    )
    return output


def modality(folder: Path, config: Config = CONFIG, **changes: Any) -> MeasureRequest:
    image = folder / "image.png"
    Image.new("RGB", (640, 480)).save(image)
    made = MeasureRequest(
        setup=config.setup,
        setup_folder=folder,
        part="chain",
        network=config.networks["mbt2018"],
        quality=3,
        image="image",
        image_path=image,
        settings=config.settings(),
        power_field="auto",
        idle=folder / "reference" / "idle.parquet",
        output=folder / "traces" / "image.parquet",
        passport=folder / "reference" / "passport.json",
    )
    return replace(made, **changes)


def records(folder: Path) -> list[Path]:
    return sorted((folder / "raw" / "passport").glob("*.parquet"))


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A set-up with its idle reference, its passport, and a modality measured by that."""
    folder = tmp_path_factory.mktemp("virtual")
    idle(folder)
    measure_passport(request_of(folder))
    measure_modality(modality(folder))
    yield folder


@pytest.fixture
def trace(measured: Path) -> Trace:
    return read_trace(measured / "traces" / "image.parquet")


def test_the_file_says_what_was_measured_on_which_device(measured: Path) -> None:
    document = json.loads((measured / "reference" / "passport.json").read_text())
    (kept,) = records(measured)
    meta = read_meta(kept)
    assert (meta.kind, meta.outcome, meta.run["sampling_hz"]) == ("passport", "accepted", 400)
    assert meta.settings_digest == digest_of(CONFIG.passport_settings())
    assert meta.sampler["samples"] > 40_000
    assert document["source"] == meta.source == "simulated"
    assert document["device_uuid"] == meta.meter.device_uuid
    assert document["driver"] == meta.meter.driver
    assert document["session"] == meta.session
    assert document["created_utc"] == meta.created_utc
    assert [f["column"] for f in document["fields"]] == [f.column for f in meta.meter.power_fields]
    assert document["fields"][0]["averaging_window_s"] == pytest.approx(0.025, rel=0.1)
    assert document["fields"][1]["averaging_window_s"] == pytest.approx(1.0, rel=0.05)
    assert document["counter_tick_s"] == pytest.approx(0.1009, rel=0.01)
    assert document["choice"]["power_field"] == "power_legacy_w"
    assert document["choice"]["lead_in_s_reason"]


def test_a_record_of_this_gpu_and_driver_is_not_made_again(
    measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passport_module, "record_wave", lambda *_: pytest.fail("recorded again"))
    again = measure_passport(request_of(measured, output=tmp_path / "again.json"))
    first = measured / "reference" / "passport.json"
    assert (tmp_path / "again.json").read_bytes() == first.read_bytes()
    assert from_document(json.loads(first.read_text())) == again
    assert len(records(measured)) == 1


@pytest.mark.parametrize("change", ["driver", "code", "fresh"])
def test_another_driver_or_code_or_a_wish_records_anew(
    measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(measured, folder)
    made: list[int] = []

    def stop(*_: object) -> None:
        made.append(1)
        raise MeterError("enough")

    monkeypatch.setattr(passport_module, "record_wave", stop)
    if change == "driver":
        monkeypatch.setattr("nic_energy.meters.virtual.meter.DRIVER", "virtual-2")
    elif change == "code":
        monkeypatch.setattr("nic_energy.fingerprint.of_passport", lambda _: "other")
    with pytest.raises(MeterError):
        measure_passport(request_of(folder, fresh=change == "fresh"))
    assert made
    assert len(records(folder)) == 2
    errors = [attempt.meta.error for attempt in RawStore(folder).attempts("passport")]
    assert sorted(errors, key=str) == ["MeterError: enough", None]


def test_the_measurement_goes_by_the_passport(measured: Path, trace: Trace) -> None:
    meta = trace.meta
    choice = json.loads((measured / "reference" / "passport.json").read_text())["choice"]
    assert meta.settings["protocol"]["sampling_hz"] == "auto"
    assert (meta.run["sampling_hz"], meta.run["lead_in_s"]) == (20, choice["lead_in_s"])
    assert meta.sampling_hz == 20
    assert meta.run["passport"]["driver"] == meta.meter.driver
    spacing = trace.column("time_s")
    assert (spacing[-1] - spacing[0]) / (len(spacing) - 1) == pytest.approx(0.05, rel=0.01)
    leads = [i.end_s - i.start_s for i in meta.intervals if i.phase == "lead_in"]
    assert min(leads) >= choice["lead_in_s"]
    field = meta.meter.power_field("auto")
    assert field.column == meta.stopping["power_field"] == "power_legacy_w"
    assert field.lag_s == pytest.approx(0.5, rel=0.05)
    assert field.update_period_s == pytest.approx(0.1009, rel=0.01)
    assert meta.flags == ()


def test_the_paper_sum_takes_the_resolved_rate_and_the_record_reaches_over_the_marks(
    trace: Trace,
) -> None:
    field = trace.meta.meter.power_field("auto")
    truth = trace.meta.run["truth"]["energy_j"]
    for window in trace.meta.windows:
        energies = window_energies(trace, window, field)
        assert energies["paper_sum"].duration_s == pytest.approx(window.duration_s, abs=0.06)
        gross = energies["trapezoid"].energy_gross_j / 0.98
        dynamic = (gross - 70.0 * window.duration_s) / window.executions
        assert dynamic == pytest.approx(truth, rel=0.04)
        last = trace.column("time_s")[trace.column("time_s") < window.end_s + 0.8][-1]
        assert last >= window.end_s + 2 * 0.1 + 0.5 - 0.06


def test_a_new_passport_does_not_measure_a_modality_again(measured: Path, tmp_path: Path) -> None:
    document = json.loads((measured / "reference" / "passport.json").read_text())
    document["choice"]["sampling_hz"] = 33.0
    write_json(tmp_path / "other.json", document)
    again = modality(measured, passport=tmp_path / "other.json", output=tmp_path / "t.parquet")
    assert measure_modality(again).linked


def test_a_passport_of_another_device_is_refused_and_another_driver_flagged(
    measured: Path, tmp_path: Path
) -> None:
    document = json.loads((measured / "reference" / "passport.json").read_text())
    meter = read_meta(measured / "traces" / "image.parquet").meter
    write_json(tmp_path / "other.json", {**document, "driver": "virtual-0"})
    assert known_sensor(tmp_path / "other.json").flags(meter) == ("passport_driver_differs",)
    write_json(tmp_path / "other.json", {**document, "device_uuid": "VIRTUAL-0"})
    with pytest.raises(MismatchError, match=r"passport\.json is that of VIRTUAL-0"):
        measure_modality(modality(measured, passport=tmp_path / "other.json", fresh=True))


def test_auto_without_a_passport_is_refused(measured: Path) -> None:
    with pytest.raises(ConfigError, match="there is none"):
        measure_modality(modality(measured, passport=None, fresh=True))


def test_a_file_that_is_no_passport_is_named(tmp_path: Path) -> None:
    (tmp_path / "passport.json").write_text("{}")
    with pytest.raises(StoreError, match=r"passport\.json: is no sensor passport"):
        known_sensor(tmp_path / "passport.json")


def test_numbers_in_the_protocol_stand_whatever_the_passport_says(
    measured: Path, tmp_path: Path
) -> None:
    config = config_of(protocol={**PROTOCOL, "sampling_hz": 10, "lead_in_s": 2})
    done = measure_modality(modality(measured, config, output=tmp_path / "trace.parquet"))
    assert (done.meta.run["sampling_hz"], done.meta.run["lead_in_s"]) == (10, 2)
    assert done.meta.meter.power_field("auto").column == "power_legacy_w"


def test_without_a_passport_the_documented_figures_stand(tmp_path: Path) -> None:
    numbers = {**PROTOCOL, "sampling_hz": 10, "lead_in_s": 1}
    config = config_of(protocol=numbers, passport=False)
    idle(tmp_path, config)
    done = measure_modality(modality(tmp_path, config, passport=None))
    assert done.meta.meter.power_field("auto").column == "power_instant_w"
    assert done.meta.run["passport"] is None


def test_idle_comes_before_the_passport_and_takes_the_papers_rate(measured: Path) -> None:
    meta = read_meta(measured / "reference" / "idle.parquet")
    assert meta.settings["protocol"]["sampling_hz"] == "auto"
    assert meta.sampling_hz == 10


def test_a_simulated_campaign_measures_the_passport_where_it_is_needed(tmp_path: Path) -> None:
    Image.new("RGB", (640, 480)).save(tmp_path / "image.png")
    (path,) = simulate_campaign(CONFIG, {"image": tmp_path / "image.png"}, tmp_path / "out")
    assert read_meta(path).run["sampling_hz"] == 20
    assert len(records(tmp_path / "out")) == 1


@pytest.mark.parametrize("meter", ["rapl", "cpu_load"])
def test_a_processor_has_no_passport(tmp_path: Path, meter: str) -> None:
    config = resolve({"device": "cpu", "meter": meter})
    assert not config.passport
    assert "passport" not in config.settings()
    with pytest.raises(ConfigError, match=f"meter {meter} on device cpu has no power sensor"):
        measure_passport(request_of(tmp_path, config))


def test_the_passport_is_on_for_a_gpu_and_off_on_demand() -> None:
    assert resolve({}).passport
    assert resolve({}).settings()["passport"] is True
    assert not resolve({"passport": False}).passport
    switched = {"device": "cpu", "meter": "nvml", "test_switch": True}
    assert not resolve(switched).passport


@pytest.mark.parametrize("key", ["sampling_hz", "lead_in_s"])
def test_auto_needs_a_passport_and_any_other_word_is_refused(key: str) -> None:
    assert resolve({"protocol": {key: "auto"}}).settings()["protocol"][key] == "auto"
    for off in ({"passport": False}, {"device": "cpu", "meter": "cpu_load"}):
        with pytest.raises(ConfigError, match="can be auto only where the power sensor is"):
            resolve({**off, "protocol": {key: "auto"}})
    with pytest.raises(ConfigError, match=rf"protocol\.{key}: 'fast' .* number .* or auto"):
        resolve({"protocol": {key: "fast"}})


def test_the_plans_estimate_goes_by_the_passport(
    measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = campaign.estimate(CONFIG).modality_least_s
    target = campaign.passport_path(CONFIG.setup)
    target.parent.mkdir(parents=True)
    target.write_bytes((measured / "reference" / "passport.json").read_bytes())
    gained = 5 * ((1.2 - 1.0) - 2.5 * (1 / 10 - 1 / 20))
    assert campaign.estimate(CONFIG).modality_least_s - before == pytest.approx(gained, abs=0.01)


def test_the_command_prints_the_passport(measured: Path, tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", {**CONFIG.document})
    with CliRunner().isolated_filesystem(tmp_path) as here:
        results = Path(here) / "results"
        results.mkdir()
        (results / "virtual").symlink_to(measured)
        arguments = ["--config", str(tmp_path / "config.json"), "--output", "passport.json"]
        done = CliRunner().invoke(main, ["passport", *arguments], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        assert json.loads(Path("passport.json").read_text())["setup"] == "virtual"
        refused = CliRunner().invoke(main, ["passport", *arguments, "--digest", "0" * 16])
    for text in ("power_instant_w", "100.9", "25 %", "Sampling at 20 Hz", "Lead-in of 1.2 s"):
        assert text in done.output
    assert refused.exit_code == MismatchError.exit_code


def test_the_burning_load_takes_a_few_milliseconds_and_needs_no_network() -> None:
    load = Burn("cpu")
    start, end = load.run(1)
    first, last = load.run(5)
    assert 0 < end - start < 1
    assert last - first > end - start - 0.01
    assert end <= first


def test_a_gpu_that_is_not_there_is_named_by_the_backend() -> None:
    settings = resolve({}).settings()
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(DeviceError, match="cuda:0"):
        TorchBackend(settings, cold=False)
