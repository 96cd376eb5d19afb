"""One joule outside of a campaign."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import yaml
from click.testing import CliRunner, Result

from nic_energy.cli.main import main
from nic_energy.cli.single import lines
from nic_energy.config import resolve
from nic_energy.errors import ConfigError, InputError
from nic_energy.measure.idle import IdleRequest, measure_idle
from nic_energy.single import SHORT, Single, shorter
from nic_energy.traces import read_meta

OVERLAY = {
    "setup": "one",
    "device": "virtual",
    "meter": "virtual",
    "weights": "random",
    "passport": False,
    "virtual": {"gpu": "turing", "workload": "table2"},
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "overlay.yaml").write_text(yaml.safe_dump(OVERLAY))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def measured(*options: str, image: str = "skimage:coffee.png", quality: int = 4) -> Result:
    arguments = ["measure", image, "--network", "mbt2018", "--quality", str(quality),
                 "--config", "overlay.yaml", *options]  # fmt: skip
    return CliRunner().invoke(main, arguments)


def test_a_joule_that_is_not_above_idle_is_said_without_a_percentage(folder: Path) -> None:
    row = json.loads(measured("--json").stdout)
    found = SimpleNamespace(
        row={**row, "energy_j": -0.5, "ci_half_width_percent": None, "converged": False,
             "expanded_uncertainty_j": None, "dominating_uncertainty": None},
        idle=SimpleNamespace(created_utc="2026-01-01T00:00:00Z"),
        reused=True, linked=False, attempt="trace.parquet", shortened={},
    )  # fmt: skip
    text = "\n".join(lines(cast(Single, found)))
    assert "-0.5 J an execution, uncertainty not known" in text
    assert "NOT converged, the energy is not above that of idle" in text


def test_without_an_idle_reference_the_protocol_is_short_and_says_so(folder: Path) -> None:
    done = measured()
    assert done.exit_code == 0, done.output
    assert "simulated (no real device was metered)" in done.stdout
    assert "protocol     short: idle_s 20 for 120, " in done.stdout
    found = json.loads(measured("--json").stdout)
    assert (found["protocol"], found["idle_reused"], found["measured_before"]) == (
        "short", False, True,
    )  # fmt: skip
    assert found["shortened"]["min_duration_s"] == [5, 2]
    trace = read_meta(Path(found["trace"]))
    truth = trace.run["truth"]["energy_j"] * 0.92
    assert found["energy_j"] == pytest.approx(truth, abs=4 * found["u_combined_j"])
    assert found["expanded_uncertainty_j"] > found["u_combined_j"] > 0
    assert (found["source"], found["bpp"], found["image"]) == ("simulated", None, "skimage_coffee")
    assert not (folder / "results" / "one" / "traces").exists()
    again = json.loads(measured("--json", "--fresh").stdout)
    assert not again["measured_before"]
    assert again["trace"] != found["trace"]


def test_the_idle_reference_of_the_set_up_is_used_with_its_protocol(folder: Path) -> None:
    from nic_energy.cli.single import LAB
    from nic_energy.config import project_root
    from nic_energy.config.merge import read_merged

    config = resolve(read_merged([project_root() / LAB, folder / "overlay.yaml"]))
    own = Path("results/one")
    measure_idle(
        IdleRequest(
            "one", own, config.idle_settings(), config.settings(),
            own / "reference/idle.parquet", own / "reference/environment.json",
        )
    )  # fmt: skip
    found = json.loads(measured("--json").stdout)
    assert (found["protocol"], found["idle_reused"], found["shortened"]) == ("campaign", True, {})
    assert found["idle_reference"] == "results/one/reference/idle.parquet"
    assert found["converged"]
    short = json.loads(measured("--json", "--short").stdout)
    assert short["protocol"] == "short"
    assert short["idle_reference"] == "results/one/single/reference/idle.parquet"
    assert "the set-up's reference of" in measured().stdout


def test_what_is_already_shorter_stays(folder: Path) -> None:
    config = resolve({"protocol": {"idle_s": 5, "min_duration_s": 1, "max_repetitions": 6}})
    short, changed = shorter(config)
    assert short.protocol.idle_s == 5
    assert "idle_s" not in changed
    assert changed["preheat_max_s"] == (600, SHORT["preheat_max_s"])
    open_, changed = shorter(resolve({"protocol": {"sampling_hz": "auto"}}))
    assert (open_.protocol.sampling_hz, changed["sampling_hz"]) == (10, ("auto", 10))


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ({"quality": 14}, ConfigError.exit_code, "--quality 14: mbt2018 has 1, 2, 3"),
        ({"image": "no.png"}, InputError.exit_code, "no.png: cannot be read"),
    ],
)
def test_what_is_not_there_is_named(
    folder: Path, options: dict[str, object], code: int, message: str
) -> None:
    done = measured(**options)  # type: ignore[arg-type]
    assert done.exit_code == code
    assert message in done.output


def test_an_image_and_the_options_of_the_workflow_do_not_go_together(folder: Path) -> None:
    done = measured("--idle", "idle.parquet")
    assert done.exit_code == 2
    assert "--idle: not together with IMAGE skimage:coffee.png" in done.output
    arguments = ["measure", "--network", "mbt2018", "--quality", "4"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    assert "give an image file to measure one image" in done.output
