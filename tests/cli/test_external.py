import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nic_energy.cli.main import main

DATA = Path(__file__).parents[1] / "data" / "rtx3090"
LOGS = (str(DATA / "nvidia_smi.csv"), str(DATA / "external_meter.csv"))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["external", *arguments])


def test_the_recorded_logs_are_compared_and_drawn(tmp_path: Path) -> None:
    done = run("compare", *LOGS, "--figure", str(tmp_path / "two.png"))
    assert done.exit_code == 0, done.output
    assert "time zone      +1.00 h" in done.output
    lines = {line.split()[1]: line for line in done.output.splitlines() if line.startswith("│")}
    assert "0.9513" in lines["power.draw"]
    assert "0.9477" in lines["power.draw.instant"]
    assert "power.draw is averaged: a moving average over about 1.06 s" in done.output
    assert "power.draw.instant is not averaged" in done.output
    assert {path.name for path in tmp_path.iterdir()} == {"two.png", "two.svg"}


def test_as_json_with_a_choice_of_columns() -> None:
    done = run("compare", *LOGS, "--column", "power.draw.instant", "--json")
    found = json.loads(done.output)
    assert found["time_zone_s"] == 3600
    (column,) = found["columns"]
    assert column["ratio"] == pytest.approx(0.948, abs=0.0006)
    assert column["averages"] is False


def test_a_log_is_shown_by_options(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("t;E\n2026-01-01 00:00:00;0\n2026-01-01 00:00:01;0,1\n2026-01-01 00:00:09;1\n")
    options = {
        "time_column": "t", "time_format": "iso", "energy_column": "E", "unit": "kJ",
        "delimiter": ";", "decimal": ",",
    }  # fmt: skip
    done = run("show", str(path), "--options", json.dumps(options))
    assert done.exit_code == 0, done.output
    assert "3 rows from 2026-01-01T00:00:00" in done.output
    assert "E: mean 111.1 W over 9 s; 0 % of the time in gaps" in done.output


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ({"power_colum": "p"}, 2, "did you mean power_column?"),
        ({"power_column": "p", "unit": "Wh"}, 2, "--options.unit: Wh is no unit of power"),
        ({"power_column": "q"}, 5, "line 1: has no column 'q'"),
    ],
)
def test_wrong_options_have_their_exit_codes(
    tmp_path: Path, options: dict[str, str], code: int, message: str
) -> None:
    path = tmp_path / "log.csv"
    path.write_text("unix_time_s,p\n1,2\n2,3\n")
    done = run("show", str(path), "--options", json.dumps(options))
    assert done.exit_code == code
    assert message in done.output


def test_logs_that_do_not_belong_together(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("unix_time_s,power_w\n" + "".join(f"{1e9 + n},{n % 7}\n" for n in range(100)))
    done = run("compare", LOGS[0], str(path))
    assert done.exit_code == 5
    assert "do not overlap" in done.output
