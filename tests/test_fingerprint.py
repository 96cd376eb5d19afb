from dataclasses import replace
from pathlib import Path

from nic_energy import fingerprint
from nic_energy.config import project_root, read_networks

SOURCE = '''"""Docstring."""

import os  # a comment


def f(x: int) -> str:
    """Says."""
    return f"{x} # no comment"
'''


def test_comments_docstrings_and_blank_lines_do_not_count() -> None:
    plain = 'import os\ndef f(x: int) -> str:\n    return f"{x} # no comment"\n'
    assert fingerprint.essence(SOURCE) == fingerprint.essence(plain)


def test_code_and_string_literals_count() -> None:
    assert fingerprint.essence("x = 1\n") != fingerprint.essence("x = 2\n")
    assert fingerprint.essence('x = "# a"\n') != fingerprint.essence('x = "# b"\n')


def test_a_changed_or_added_module_changes_the_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "a.py").write_text("x = 1\n")
    first = fingerprint.fingerprint(("room",), tmp_path)
    fingerprint.fingerprint.cache_clear()
    (tmp_path / "room" / "a.py").write_text("# why\nx = 1\n")
    assert fingerprint.fingerprint(("room",), tmp_path) == first
    fingerprint.fingerprint.cache_clear()
    (tmp_path / "room" / "b.py").write_text("y = 1\n")
    assert fingerprint.fingerprint(("room",), tmp_path) != first


def test_everything_named_exists_and_meters_differ() -> None:
    prints = {meter: fingerprint.of_measurement(meter) for meter in fingerprint.METER_FILES}
    assert len(set(prints.values())) == len(prints)
    assert fingerprint.of_idle("nvml") != fingerprint.of_measurement("nvml")


def test_a_users_own_network_is_known_by_its_module(tmp_path: Path) -> None:
    networks = read_networks(project_root() / "config" / "networks.tsv")
    zoo = networks["mbt2018"]
    assert fingerprint.of_network(zoo)["factory"] == "compressai"
    own = replace(zoo, factory="json.decoder:JSONDecoder")
    assert len(fingerprint.of_network(own)["factory_sha256"]) == 64
