"""What the command line hands over as text, read as its key allows."""

from typing import Any

import pytest

from nic_energy.config import resolve
from nic_energy.errors import ConfigError


@pytest.mark.parametrize(
    ("given", "path", "heard"),
    [
        ({"allow_missing": "True"}, ["allow_missing"], True),
        ({"protocol": {"idle_s": "5"}}, ["protocol", "idle_s"], 5),
        ({"protocol": {"lead_in_s": "0.5"}}, ["protocol", "lead_in_s"], 0.5),
        ({"protocol": {"lead_in_s": "auto"}}, ["protocol", "lead_in_s"], "auto"),
        ({"worker": {"enabled": "false"}}, ["worker", "enabled"], False),
        ({"images": {"select": "3"}}, ["images", "select"], 3),
        ({"images": {"select": "[a, b]"}}, ["images", "select"], ["a", "b"]),
        ({"calibration": "null"}, ["calibration"], None),
    ],
)
def test_text_is_read_as_its_key_allows(
    given: dict[str, Any], path: list[str], heard: object
) -> None:
    found: Any = resolve({"setup": "7", **given}).document
    assert found["setup"] == "7"
    for key in path:
        found = found[key]
    assert found == heard and type(found) is type(heard)


@pytest.mark.parametrize("text", ["five", "{1: ", "[1]"])
def test_text_that_fits_nothing_is_refused_as_it_was_given(text: str) -> None:
    with pytest.raises(ConfigError, match=r"protocol\.idle_s") as refused:
        resolve({"setup": "x", "protocol": {"idle_s": text}})
    assert repr(text) in str(refused.value)
