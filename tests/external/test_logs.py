from pathlib import Path

import numpy as np
import pytest

from nic_energy.errors import InputError
from nic_energy.external import FORMATS, LogFormat, read_log


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "log.csv"
    path.write_text(text)
    return path


def test_a_generic_log_and_its_missing_readings(tmp_path: Path) -> None:
    path = write(tmp_path, "unix_time_s,power_w\n1.0,10\n1.5,N/A\n2.0,12\n")
    log = read_log(path, FORMATS["generic"])
    assert log.time_s.tolist() == [1.0, 1.5, 2.0]
    assert np.isnan(log.column()[1])
    with pytest.raises(InputError, match="no power column x; it has power_w"):
        log.column("x")


def test_a_mapping_scales_and_renames_and_skips_lines_before_the_header(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "Meter 42\n\ntime;P\n2026-01-01T00:00:00+00:00;1500\n2026-01-01T00:00:01+00:00;2500\n",
    )
    log = read_log(path, LogFormat("time", "iso", {"P": ("wall", 0.001)}, ";"))
    assert log.column("wall").tolist() == [1.5, 2.5]
    assert log.time_s[0] == 1767225600.0


def test_nvidia_smi_with_and_without_units(tmp_path: Path) -> None:
    head = "timestamp, power.draw [W]\n"
    for unit in (" W", ""):
        path = write(
            tmp_path,
            head + f"2023/07/08 19:27:36.359, 126.97{unit}\n2023/07/08 19:27:36.400, 127{unit}\n",
        )
        assert read_log(path, FORMATS["nvidia-smi"]).column("power.draw").tolist() == [126.97, 127]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", r"no line holds the column 'unix_time_s'"),
        ("unix_time_s,watt\n1,2\n", r"none of the power columns power_w; it has unix_time_s, watt"),
        ("unix_time_s,power_w\n1,2\nx,3\n", r"line 3: could not convert"),
        ("unix_time_s,power_w\n1,2\n2\n", r"line 3: list index"),
        ("unix_time_s,power_w\n2,2\n1,2\n", r"goes back in time after row 1"),
        ("unix_time_s,power_w\n2,2\n", r"too short"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_log(write(tmp_path, text), FORMATS["generic"])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv: cannot be read"):
        read_log(tmp_path / "none.csv", FORMATS["generic"])
