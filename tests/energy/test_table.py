from pathlib import Path

import pandas as pd
import pytest

from nic_energy.config import project_root, read_networks
from nic_energy.energy import table_checks
from nic_energy.energy.build import EnergyTables
from nic_energy.energy.table import from_table
from nic_energy.energy.table_checks import ranges
from nic_energy.errors import InputError
from tests.models.table2 import counted, energies

NETWORKS = read_networks(project_root() / "config" / "networks.tsv")
HEAD = "network,quality,image,width,height,energy_j"
FINE = "mbt2018,5,a,100,50,2.5"


def write(folder: Path, *lines: str, head: str = HEAD) -> Path:
    path = folder / "table.csv"
    path.write_text("\n".join([head, *lines]) + "\n")
    return path


def read(path: Path) -> EnergyTables:
    return from_table(path, NETWORKS, "theirs", counted())


def complaint(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read(path)
    assert caught.value.exit_code != 0
    return str(caught.value)


def test_a_table_is_external_unless_it_says_otherwise(tmp_path: Path) -> None:
    (row,) = read(write(tmp_path, FINE)).energy.to_dict("records")
    assert (row["source"], row["setup"], row["part"]) == ("external", "theirs", "chain")
    assert (row["pixels"], row["level"], row["energy_j"]) == (5000, "high", 2.5)
    assert row["estimator"] == "external"
    assert row["padded_pixels"] == 128 * 128
    path = write(tmp_path, FINE + ",measured,x,20000", head=HEAD + ",source,flags,padded_pixels")
    (row,) = read(path).energy.to_dict("records")
    assert (row["source"], row["flags"], row["padded_pixels"]) == ("measured", "x", 20000)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("jpeg,1,a,100,50,1", "not in the networks table, which has bmshj2018-factorized, "),
        ("jpeg,1,a,100,50,1", "(network jpeg)"),
        ("mbt2018,9,a,100,50,1", "the network has no such quality level (mbt2018 9)"),
        ("mbt2018,1,b,0,1,1", "width is no number above 0 (0)"),
        ("mbt2018,1,b,1.5,1,1", "width is no whole number (1.5)"),
        ("mbt2018,1,a,100,50,-2", "energy_j is no number above 0 (-2)"),
        ("mbt2018,1,a,100,50,0", "energy_j is no number above 0 (0)"),
        ("mbt2018,1,a,100,50,much", "energy_j is no number above 0 (much)"),
        ("mbt2018,1,a,100,50,", "energy_j is no number above 0 (empty)"),
        ("mbt2018,1,a,100,50,inf", "energy_j is no number above 0 ("),
        ("mbt2018,1,,100,50,1", "the image has no name"),
        (FINE, "the modality stands there already (as in line 2)"),
        ("mbt2018,1,a,50,100,1", "the image has another size before (a: 100 x 50 in line 2)"),
        ("mbt2018,1,a,100,50,1500", "more joules than any device needs: as if mJ were given as J"),
        ("mbt2018,1,a,100,50,9e9", "more joules than any device needs; if it is right, put units_"),
        ("mbt2018,1,a,100,50,2e-4", "fewer joules than any device needs: as if kJ were given as J"),
    ],
)
def test_rows_that_cannot_be_used_are_named(tmp_path: Path, line: str, message: str) -> None:
    text = complaint(write(tmp_path, FINE, line))
    assert "\n  line 3: " in text
    assert message in text
    assert "line 2:" not in text


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("source", "guessed", "source must be one of measured, "),
        ("part", "everything", "part must be one of chain, "),
        ("level", "low", "not the level of the networks table (mbt2018 5: low)"),
        ("level", "huge", "not the level of the networks table (mbt2018 5: huge)"),
        ("pixels", "5001", "pixels is not width times height (5001 for 100 x 50)"),
        ("padded_pixels", "4999", "padded_pixels is less than width times height (4999 for"),
        ("duration_s", "1e-4", "a power that no device has; is the unit right? (2.5 J in 0.0001 s"),
        ("duration_s", "9000", "a power that no device has"),
    ],
)
def test_optional_columns_are_checked_where_they_are_there(
    tmp_path: Path, column: str, value: str, message: str
) -> None:
    assert message in complaint(write(tmp_path, f"{FINE},{value}", head=f"{HEAD},{column}"))
    assert len(read(write(tmp_path, f"{FINE},", head=f"{HEAD},{column}")).energy) == 1


def test_all_problems_are_said_at_once_each_with_all_its_lines(tmp_path: Path) -> None:
    text = complaint(
        write(
            tmp_path,
            "jpeg,1,a,100,50,1",
            "jpeg,2,a,100,50,-1",
            "",
            "webp,1,a,100,50,0",
            "mbt2018,77,a,100,50,1",
            *(f"mbt2018,1,i{n},100,50,x{n}" for n in range(5)),
            FINE,
        )
    )
    first, *problems = text.split("\n")
    assert first.endswith("table.csv cannot be used:")
    assert [problem.strip().partition(":")[0] for problem in problems] == [
        "lines 2-3, 5", "lines 3, 5, 7-11", "line 6",
    ]  # fmt: skip
    assert problems[0].endswith("(network jpeg, network webp)")
    assert problems[1].endswith("(-1, 0, x0, …)")


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "", '"mbt2018",5,"two\nlines",100,50,2.5', "", "jpeg,1,a,100,50,1")
    assert "\n  line 6: not in the networks table" in complaint(path)


def test_a_table_that_is_none_is_refused(tmp_path: Path) -> None:
    missing = complaint(write(tmp_path, head="network,quality,image,width,energy_j"))
    assert "column(s) missing: height" in missing
    semicolons = complaint(write(tmp_path, head=HEAD.replace(",", ";")))
    assert "Are its columns separated by commas?" in semicolons
    assert "holds no rows" in complaint(write(tmp_path))
    assert "more than once: image" in complaint(write(tmp_path, FINE, head=HEAD + ",image"))
    assert "more cells than the header in line(s) 3" in complaint(
        write(tmp_path, FINE, FINE + ",,")
    )
    assert "cannot be read" in complaint(tmp_path / "nowhere.csv")
    (tmp_path / "table.csv").write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in complaint(tmp_path / "table.csv")


def table2(folder: Path, factor: float, flags: str = "") -> Path:
    """Energies of the paper's Table 2 on 20 images, in a unit of so many joules."""
    rows = energies(20).assign(width=lambda e: e["pixels"] // 800, height=800, flags=flags)
    rows["energy_j"] = rows["energy_j"] * factor
    path = folder / "table.csv"
    rows[[*HEAD.split(","), "flags"]].to_csv(path, index=False)
    return path


def test_the_papers_energies_pass_and_do_not_in_another_unit(tmp_path: Path) -> None:
    found = read(table2(tmp_path, 1.0)).energy
    assert len(found) == 20 * 44
    for factor, unit in ((1e3, "mJ"), (1e-3, "kJ")):
        text = complaint(table2(tmp_path, factor))
        assert text.count("\n") == 1
        assert f"lines 2-881: {'more' if factor > 1 else 'fewer'} joules" in text
        assert f"as if {unit} were given as J" in text


def test_joules_that_were_checked_pass(tmp_path: Path) -> None:
    found = read(table2(tmp_path, 1e3, flags="other;units_checked")).energy
    assert found["energy_j"].max() > 10_000


def test_a_byte_order_mark_is_no_letter(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(f"{HEAD}\n{FINE}\n", encoding="utf-8-sig")
    assert list(read(path).energy["network"]) == ["mbt2018"]


def test_ranges_of_lines() -> None:
    assert ranges([2]) == "2"
    assert ranges([2, 3, 5, 7, 8, 9]) == "2-3, 5, 7-9"


def test_what_the_table_brings_beyond_the_contract_stays(tmp_path: Path) -> None:
    path = write(tmp_path, FINE + ",0.1,blue", head=HEAD + ",expanded_uncertainty_j,colour")
    row = read(path).energy.iloc[0]
    assert (row["expanded_uncertainty_j"], row["colour"]) == (0.1, "blue")
    assert isinstance(read(path).estimators, pd.DataFrame) and read(path).estimators.empty


def test_modalities_whose_keys_share_a_hash_are_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(table_checks, "hash", lambda key: 1, raising=False)
    rows = [{"part": "chain", "network": "a", "quality": q, "image": "x"} for q in (1, 2, 3, 2)]
    first = table_checks._First(pd.DataFrame(rows))
    assert [first.like(number, row) for number, row in enumerate(rows)] == [0, 1, 2, 1]


def test_a_table_of_many_blocks_is_checked_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_checks, "BLOCK", 2)
    lines = [FINE.replace(",a,", f",image{n},") for n in range(5)]
    said = complaint(write(tmp_path, *lines, lines[0]))
    assert "line 7: the modality stands there already (as in line 2)" in said
