from pathlib import Path

import pytest

from nic_energy.config import project_root, read_networks
from nic_energy.energy.table import from_table
from nic_energy.errors import InputError

NETWORKS = read_networks(project_root() / "config" / "networks.tsv")
HEAD = "network,quality,image,width,height,energy_j"


def write(folder: Path, *lines: str, head: str = HEAD) -> Path:
    path = folder / "table.csv"
    path.write_text("\n".join([head, *lines]) + "\n")
    return path


def test_a_table_is_external_unless_it_says_otherwise(tmp_path: Path) -> None:
    path = write(tmp_path, "mbt2018,5,a,100,50,2.5")
    (row,) = from_table(path, NETWORKS, "theirs").energy.to_dict("records")
    assert (row["source"], row["setup"], row["part"]) == ("external", "theirs", "chain")
    assert (row["pixels"], row["level"], row["energy_j"]) == (5000, "high", 2.5)
    assert row["estimator"] == "external"
    path = write(tmp_path, "mbt2018,5,a,100,50,2.5,measured,x", head=HEAD + ",source,flags")
    (row,) = from_table(path, NETWORKS, "theirs").energy.to_dict("records")
    assert (row["source"], row["flags"]) == ("measured", "x")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("jpeg,1,a,1,1,1", r"line 3: network 'jpeg' is not in config/networks\.tsv"),
        ("mbt2018,9,a,1,1,1", r"line 3: mbt2018 has no quality level 9"),
        ("mbt2018,1,a,0,1,1", r"line 3: width 0 is no number above 0"),
        ("mbt2018,1,a,1,1,-2", r"line 3: energy_j"),
        ("mbt2018,1,a,1,1,much", r"line 3: energy_j 'much'"),
        ("mbt2018,1,a,1,1,", r"line 3: energy_j nan"),
        ("mbt2018,5,a,100,50,2.5", r"line 3: the modality stands there twice"),
    ],
)
def test_rows_that_cannot_be_used_are_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_table(write(tmp_path, "mbt2018,5,a,100,50,2.5", line), NETWORKS, "x")


def test_wrong_sources_missing_columns_and_empty_tables_are_named(tmp_path: Path) -> None:
    path = write(tmp_path, "mbt2018,5,a,1,1,1,guessed", head=HEAD + ",source")
    with pytest.raises(InputError, match="source 'guessed' must be one of measured"):
        from_table(path, NETWORKS, "x")
    with pytest.raises(InputError, match=r"column\(s\) missing: height"):
        from_table(write(tmp_path, head="network,quality,image,width,energy_j"), NETWORKS, "x")
    with pytest.raises(InputError, match="holds no rows"):
        from_table(write(tmp_path), NETWORKS, "x")


def test_many_wrong_rows_are_counted(tmp_path: Path) -> None:
    lines = [f"jpeg,1,{n},1,1,1" for n in range(15)]
    with pytest.raises(InputError, match=r"\.\.\. and 5 more"):
        from_table(write(tmp_path, *lines), NETWORKS, "x")
