"""The help tells the story, and its examples are commands."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from nic_energy import tables
from nic_energy.cli.examples import EXAMPLES, SECTIONS
from nic_energy.cli.main import main
from nic_energy.errors import StoreError


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        elif not command.hidden:
            yield " ".join((*path, name))


def test_the_help_names_every_command_once_on_one_screen() -> None:
    listed = [name for commands in SECTIONS.values() for name in commands]
    assert sorted(listed) == sorted(main.commands)
    text = CliRunner().invoke(main, ["--help"], terminal_width=100).output
    assert len(text.splitlines()) <= 60
    assert max(len(line) for line in text.splitlines()) <= 100
    for title, commands in SECTIONS.items():
        assert f"{title}:" in text
        for name, sentence in commands.items():
            assert f"  {name} " in text
            assert sentence in text


def test_every_command_has_examples_and_shows_them() -> None:
    assert set(EXAMPLES) == set(leaves(main))
    for name, examples in EXAMPLES.items():
        text = CliRunner().invoke(main, [*name.split(), "--help"]).output
        for example in examples:
            assert f"  nic-energy {example}\n" in text


@pytest.mark.parametrize("example", [e for each in EXAMPLES.values() for e in each])
def test_an_example_is_a_command_with_options_that_there_are(example: str) -> None:
    """Parsed as click would, and not run."""
    arguments = shlex.split(example)
    command: click.Command = main
    context = click.Context(main)
    while isinstance(command, click.Group):
        name, command, arguments = command.resolve_command(context, arguments)  # type: ignore[assignment]
        context = click.Context(command, info_name=name, parent=context)
    assert command.make_context(context.info_name, arguments)


def test_show_says_where_tables_come_from(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["show", str(tmp_path)])
    assert done.exit_code == StoreError.exit_code
    assert "holds no campaign; give results/{setup}" in done.output
    (tmp_path / "traces").mkdir()
    done = CliRunner().invoke(main, ["show", str(tmp_path)])
    assert done.exit_code == StoreError.exit_code
    assert "snakemake tables --config allow_missing=true" in done.output


def test_show_prints_tables_for_people_and_for_programs(tmp_path: Path) -> None:
    row = {"setup": "a", "source": "simulated", "part": "chain", "estimator": "trapezoid"}
    line = {**row, "network": "mbt2018", "level": "low", "n": 3, "alpha_j_per_pixel": 1.75e-5,
            "beta_j": 3.01, "mean_relative_error_percent": 6.3, "pearson_r": 0.93}  # fmt: skip
    slope = {**row, "predictor": "kmac_per_pixel", "n": 1, "slope": None}
    models = tmp_path / "models"
    models.mkdir()
    tables.write_csv(
        models / "energy_models.csv", tables.frame([line], tables.ENERGY_MODEL_COLUMNS)
    )
    tables.write_csv(
        models / "complexity_models.csv", tables.frame([slope], tables.COMPLEXITY_MODEL_COLUMNS)
    )
    text = CliRunner().invoke(main, ["show", str(tmp_path)]).output
    assert "17.5" in text
    assert "simulated (no real device was metered)" in text
    assert "\x1b[" not in text
    found = json.loads(CliRunner().invoke(main, ["show", "--json", str(tmp_path)]).output)
    assert found["energy_models"][0]["alpha_j_per_pixel"] == 1.75e-5
    assert found["energy_models"][0]["source"] == "simulated"
    assert found["complexity_models"][0]["slope"] is None
