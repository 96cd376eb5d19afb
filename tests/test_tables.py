from pathlib import Path

import pandas as pd
import pytest

from nic_energy import tables
from nic_energy.errors import InputError


def test_csv_follows_the_contract(tmp_path: Path) -> None:
    rows = [
        {"a": 0.1 + 0.2, "ok": True, "flags": tables.join_flags(["b", "a", "b"]), "n": None},
        {"a": 1.0, "ok": False, "flags": "", "n": 3.0},
    ]
    tables.write_csv(tmp_path / "t.csv", tables.frame(rows, ["ok", "a"]))
    assert (tmp_path / "t.csv").read_bytes() == (
        b"ok,a,flags,n\ntrue,0.30000000000000004,a;b,\nfalse,1.0,,3.0\n"
    )
    back = tables.read_csv(tmp_path / "t.csv", ["ok", "a"])
    assert back["a"][0] == 0.1 + 0.2
    assert back["ok"].tolist() == [True, False]


def test_a_table_of_many_blocks_is_written_as_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"n": n or None, "ok": n % 2 == 0, "text": f"a,{n}"} for n in range(7)]
    tables.write_csv(tmp_path / "one.csv", pd.DataFrame(rows))
    monkeypatch.setattr(tables, "BLOCK", 3)
    tables.write_csv(tmp_path / "many.csv", pd.DataFrame(rows))
    text = (tmp_path / "many.csv").read_text()
    assert text == (tmp_path / "one.csv").read_text()
    assert text.splitlines()[:3] == ["n,ok,text", ',true,"a,0"', '1.0,false,"a,1"']


def test_only_the_columns_that_are_asked_for_are_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,c\n1,2,x\n")
    assert list(tables.read_csv(tmp_path / "t.csv", columns=["c", "a"]).columns) == ["a", "c"]
    with pytest.raises(InputError, match=r"column\(s\) missing: d"):
        tables.read_csv(tmp_path / "t.csv", columns=["a", "d"])


def test_an_empty_table_keeps_its_header(tmp_path: Path) -> None:
    tables.write_csv(tmp_path / "t.csv", tables.frame([], tables.MISSING_COLUMNS))
    assert (tmp_path / "t.csv").read_text() == ",".join(tables.MISSING_COLUMNS) + "\n"


def test_missing_columns_and_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"t\.csv: column\(s\) missing: c. It has: a, b"):
        tables.read_csv(tmp_path / "t.csv", ["a", "c"])
    with pytest.raises(InputError, match=r"no\.csv: cannot be read"):
        tables.read_csv(tmp_path / "no.csv")


def test_parquet_holds_the_same(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": [1.5], "b": ["x"]})
    tables.write_parquet(tmp_path / "t.parquet", table)
    assert pd.read_parquet(tmp_path / "t.parquet").equals(table)


def test_tables_of_joules_begin_with_their_provenance() -> None:
    for columns in (
        tables.ENERGY_COLUMNS,
        tables.ENERGY_MODEL_COLUMNS,
        tables.COMPLEXITY_MODEL_COLUMNS,
        tables.PREDICTOR_COLUMNS,
        tables.COMPARISON_COLUMNS,
    ):
        assert columns[:3] == ("setup", "source", "part")
