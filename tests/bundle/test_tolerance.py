from pathlib import Path

import pytest

from nic_energy.bundle.tolerance import Table, differences, is_formula, read_cells, same


@pytest.mark.parametrize(
    ("one", "two", "largest", "equal"),
    [
        ("1.5", "1.5", 0.0, True),
        ("1.5", "1.5000000001", 0.0, True),
        ("1.5", "1.50000001", 0.0, False),
        ("-1.5", "1.5", 1.5, False),
        ("1e3", "1000.0", 0.0, True),
        ("1000", "1000.0", 0.0, True),
        ("1000000000000", "1000000000001", 1e12, False),
        ("", "0.0", 1.0, False),
        ("nan", "nan", 0.0, True),
        ("nan", "1.0", 0.0, False),
        ("inf", "1e308", 0.0, False),
        ("true", "false", 0.0, False),
        ("1e-20", "-3e-19", 1.0, True),
        ("1e-20", "-3e-19", 1e-7, False),
        ("1e-10", "2e-10", 1.0, False),
    ],
)
def test_numbers_to_1e_9_text_and_whole_numbers_exactly(
    one: str, two: str, largest: float, equal: bool
) -> None:
    assert same(one, two, largest) is equal
    assert same(two, one, largest) is equal


def test_differences_come_in_the_order_of_the_rows_and_are_few() -> None:
    theirs = Table(("network", "energy_j"), tuple(("net", str(n)) for n in range(20)))
    ours = Table(("network", "energy_j"), tuple(("net", str(n + 1)) for n in range(20)))
    found = differences(theirs, ours)
    assert len(found) == 5
    assert found[0] == "line 2 (net), energy_j: '0', derived '1'"
    assert found[-1].startswith("line 6")
    assert differences(theirs, theirs) == []


def test_columns_and_rows_must_be_the_same() -> None:
    one, two = Table(("a", "b"), (("1", "2"),)), Table(("a", "c"), (("1", "2"),))
    assert differences(one, two) == ["column c is missing", "column b is not derived"]
    assert differences(one, two, lenient=True) == []
    assert differences(one, Table(("a", "b"), ())) == ["1 rows, derived are 0"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", "no header"), ("a,a\n1,1\n", "twice"), ("a\n1,2\n", "line 2"), ('a\n"1', "CSV")],
)
def test_a_table_that_is_none_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=reason):
        read_cells(path)


@pytest.mark.parametrize("cell", ["=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3", "\tx", "\r="])
def test_a_cell_that_a_spreadsheet_would_execute_is_one(cell: str) -> None:
    assert is_formula(cell)


@pytest.mark.parametrize("cell", ["", "-", "-1.5e-3", "+1", "a=b", "MeterError: -1", "inf", "-inf"])
def test_numbers_and_words_are_no_formula(cell: str) -> None:
    assert not is_formula(cell)
