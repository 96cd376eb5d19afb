from pathlib import Path

import numpy as np
import pytest

from nic_energy.config.schema import read_schema
from nic_energy.errors import ConfigError, InputError
from nic_energy.external import FORMATS, PowerLog, guess_format, layout_of, read_log
from nic_energy.external.formats import UNITS

START = 1767225600.0
"""2026-01-01 00:00:00 UTC."""


def write(tmp_path: Path, text: str, name: str = "log.csv") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def read(tmp_path: Path, text: str, **options: object) -> PowerLog:
    return read_log(write(tmp_path, text), layout_of(options))


def test_a_generic_log_and_its_missing_readings(tmp_path: Path) -> None:
    log = read(tmp_path, "unix_time_s,power_w\n1.0,10\n1.5,N/A\n2.0,12\n2.5,9.91E+37\n")
    assert log.time_s.tolist() == [1.0, 1.5, 2.0, 2.5]
    assert np.isnan(log.column()).tolist() == [False, True, False, True]
    assert (log.where(2), log.line.tolist()) == (f"{log.path}, line 4", [2, 3, 4, 5])
    with pytest.raises(InputError, match="no column x; it has power_w"):
        log.column("x")


def test_a_described_log_in_the_german_way(tmp_path: Path) -> None:
    head = "Meter 42\n\n# a note\nZeit;P (kW);x\n"
    text = head + "01.01.2026 01:00:00,5;1,5;a\n01.01.2026 01:00:01,0;2;b\n"
    log = read(
        tmp_path,
        text,
        time_column="Zeit",
        time_format="%d.%m.%Y %H:%M:%S,%f",
        time_zone="Europe/Berlin",
        power_column="P (kW)",
        unit="kW",
        factor=2,
        delimiter=";",
        decimal=",",
        reading="mean_before",
    )
    assert log.column("P (kW)").tolist() == [3000, 4000]
    assert log.time_s.tolist() == [START + 0.5, START + 1]
    assert (log.quantity, log.reading) == ("power", "mean_before")


@pytest.mark.parametrize(
    ("stamps", "form", "zone", "first"),
    [
        (("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"), "iso", None, START),
        (("2026-01-01T02:00:00+02:00", "2026-01-01T02:00:01+02:00"), "iso", None, START),
        (("2026-01-01 01:00:00", "2026-01-01 01:00:01"), "iso", "Europe/Berlin", START),
        (("2026-01-01 00:00:00.25", "2026-01-01 00:00:01"), "iso", None, START + 0.25),
        (("20260101000000", "20260101000001"), "%Y%m%d%H%M%S", None, START),
    ],
)
def test_times(
    tmp_path: Path, stamps: tuple[str, str], form: str, zone: str | None, first: float
) -> None:
    text = "t,p\n" + "".join(f"{stamp},1\n" for stamp in stamps)
    log = read(tmp_path, text, time_column="t", time_format=form, time_zone=zone, power_column="p")
    assert log.time_s[0] == pytest.approx(first, abs=1e-6)


@pytest.mark.parametrize("unit", [" W", ""])
def test_nvidia_smi_with_and_without_units(tmp_path: Path, unit: str) -> None:
    path = write(
        tmp_path,
        "timestamp, power.draw [W], power.draw.instant [W]\n"
        f"2026/01/01 00:00:00.359, 126.97{unit}, [N/A]\n2026/01/01 00:00:00.400, 127{unit}, 5\n",
    )
    assert guess_format(path) == "nvidia-smi"
    log = read_log(path, FORMATS["nvidia-smi"])
    assert log.column("power.draw").tolist() == [126.97, 127]
    assert np.isnan(log.column("power.draw.instant")[0])
    assert log.time_s[0] == pytest.approx(START + 0.359)
    with pytest.raises(InputError, match=r"several columns .*power.draw, power.draw.instant"):
        log.column()


def test_a_log_of_several_gpus_needs_a_choice(tmp_path: Path) -> None:
    text = "timestamp, uuid, power.draw [W]\n" + "".join(
        f"2026/01/01 00:00:0{second}.0, GPU-{gpu}, {10 * gpu + second}\n"
        for second in range(3)
        for gpu in (1, 2)
    )
    with pytest.raises(InputError, match=r"several devices \(uuid: GPU-1, GPU-2\).*select"):
        read(tmp_path, text, format="nvidia-smi")
    log = read(tmp_path, text, format="nvidia-smi", select={"uuid": "GPU-2"})
    assert log.column().tolist() == [20, 21, 22]
    assert log.line.tolist() == [3, 5, 7]
    with pytest.raises(InputError, match=r"no row has uuid GPU-3 \(select\), but GPU-1, GPU-2"):
        read(tmp_path, text, format="nvidia-smi", select={"uuid": "GPU-3"})
    with pytest.raises(InputError, match=r"line 1: has no column 'gpu' \(select\)"):
        read(tmp_path, text, format="nvidia-smi", select={"gpu": "1"})


LMG = """# tsnorm1 durnorm1 utrms1 p1 pf1 tsnorm2 p2
2026:01:01D00:00:00.437817000+0000 0.500101824 2.3E+02 1.5E+02 9.91E+37 2026:01:01D00:00:00.4+0000 0
2026:01:01D00:00:00.937918824+0000 0.500101824 2.3E+02 1.6E+02 9.91E+37 2026:01:01D00:00:00.9+0000 0
2026:01:01D00:00:01.438020000+0000 0.500101824 2.3E+02 9.91E+37 1 2026:01:01D00:00:01.4+0000 0
"""


@pytest.mark.parametrize("delimiter", [" ", ";", "\t", ","])
def test_measured_values_of_an_lmg600(tmp_path: Path, delimiter: str) -> None:
    path = write(tmp_path, LMG.removeprefix("# ").replace(" ", delimiter))
    assert guess_format(path) == "zes-lmg600"
    log = read_log(path, layout_of({"format": "zes-lmg600"}))
    assert list(log.columns) == ["p1", "p2"]
    assert log.column("p1")[:2].tolist() == [150, 160]
    assert np.isnan(log.column("p1")[2])
    assert log.time_s[:2] == pytest.approx([START + 0.437817, START + 0.937918824], abs=1e-6)
    assert log.reading == "mean_after"
    alone = read_log(path, layout_of({"format": "zes-lmg600", "power_column": "p1"}))
    assert list(alone.columns) == ["p1"]


def test_parts_of_one_log_are_put_in_order(tmp_path: Path) -> None:
    head = "unix_time_s,power_w\n"
    late = write(tmp_path, head + "5,50\n6,60\n", "late.csv")
    early = write(tmp_path, head + "1,10\n2,20\n", "early.csv")
    log = read_log([late, early], FORMATS["generic"])
    assert log.column().tolist() == [10, 20, 50, 60]
    assert log.where(2) == f"{late}, line 2"
    over = write(tmp_path, head + "1.5,0\n3,0\n", "over.csv")
    with pytest.raises(InputError, match=r"over\.csv, line 2: goes back in time"):
        read_log([early, over], FORMATS["generic"])
    other = write(tmp_path, "unix_time_s,p\n7,0\n8,0\n", "other.csv")
    with pytest.raises(InputError, match=r"other\.csv, line 1: has no column 'power_w'"):
        read_log([early, other], FORMATS["generic"])


def test_energies_are_read_in_their_unit(tmp_path: Path) -> None:
    log = read(tmp_path, "unix_time_s,E\n1,0.5\n2,0.75\n", energy_column="E", unit="Wh")
    assert (log.quantity, log.column().tolist()) == ("cumulative", [1800, 2700])


def test_a_last_row_that_is_cut_off_is_left_out_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = read(tmp_path, "unix_time_s,power_w\n1,2\n2,3\n3")
    assert log.column().tolist() == [2, 3]
    assert "line 4: the last row is cut off" in caplog.text


GENERIC = "unix_time_s,power_w\n"


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a,b\n1,2\n", {}, r"names a column 'unix_time_s' .*begins with 'a,b'"),
        ("unix_time_s,watt\n1,2\n", {}, r"line 1: has no column 'power_w'; it has unix_time_s, wa"),
        (GENERIC + "1,2\nx,3\n", {}, r"line 3: the time is 'x', no number"),
        (GENERIC + "1,2\n,3\n", {}, r"line 3: has no time"),
        (GENERIC + "1,2\n2\n3,4\n", {}, r"line 3: has 1 cells, but line 1 names 2 columns"),
        (GENERIC + "1,2\n2,3,4\n", {}, r"line 3: has 3 cells"),
        (GENERIC + "2,2\n1.5,2\n", {}, r"line 3: goes back in time by 0\.5 s"),
        (GENERIC + "2,2\n", {}, r"holds 1 rows"),
        (GENERIC + "1,x\n2,2\n", {}, r"line 2: power_w is 'x', no number"),
        (GENERIC + "1,inf\n2,2\n", {}, r"line 2: power_w is 'inf', no number"),
        (GENERIC + "1,N/A\n2,\n", {}, r"power_w has no value in any row"),
        ("unix_time_s;power_w\n1;2\n2;3,5\n", {"delimiter": ";"},
         r"line 3: power_w is '3,5', but decimal is '\.'; set decimal: ','"),
        ("unix_time_s;power_w\n1;2\n2;3.5\n", {"delimiter": ";", "decimal": ","},
         r"line 3: power_w is '3\.5', but decimal is ','; set decimal: '\.'"),
        ("t,power_w\n2026-01-01,1\n01.02.2026,1\n", {"time_column": "t", "time_format": "iso"},
         r"line 3: '01\.02\.2026' is no time in the format 'iso'"),
        ("t,power_w\n2026-10-25 02:30:00,1\n2026-10-25 03:30:00,1\n",
         {"time_column": "t", "time_format": "iso", "time_zone": "Europe/Berlin"},
         r"line 2 and after: not every time stamp is one in Europe/Berlin"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line(
    tmp_path: Path, text: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=r"log\.csv.*" + message):
        read(tmp_path, text, **options)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv: cannot be read"):
        read_log(tmp_path / "none.csv", FORMATS["generic"])
    path = tmp_path / "latin.csv"
    path.write_bytes("Zeit °C\n".encode("cp1252"))
    with pytest.raises(InputError, match=r"latin\.csv: is not in the encoding"):
        read_log(path, FORMATS["generic"])
    with pytest.raises(InputError, match="is in none of the ready formats"):
        guess_format(write(tmp_path, "a,b\n1,2\n"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "other"}, "external_meter.format: there is no 'other'"),
        ({"power_column": "p", "energy_column": "e"}, "power_column or energy_column, not both"),
        ({"power_column": "p", "unit": "Wh"}, "Wh is no unit of power; for power: mW, W, kW"),
        ({"energy_column": "e", "unit": "kW"}, "kW is no unit of energy"),
        ({"decimal": ","}, "cannot separate columns and decimals both"),
    ],
)
def test_options_that_contradict_one_another(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        layout_of(options)


def test_a_time_zone_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no 'Mars/Base'"):
        read(
            tmp_path, "t,power_w\n2026-01-01,1\n2026-01-02,1\n",
            time_column="t", time_format="iso", time_zone="Mars/Base",
        )  # fmt: skip


def test_formats_and_units_are_those_of_the_configuration() -> None:
    keys = read_schema()["properties"]["external_meter"]["properties"]
    assert keys["format"]["enum"] == list(FORMATS)
    assert keys["unit"]["enum"] == [*UNITS, None]
