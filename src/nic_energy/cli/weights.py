"""Commands for pretrained weights: `weights fetch` and `weights list`."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from nic_energy.cli.inspecting import read_configs
from nic_energy.cli.measuring import PATH, JsonObject
from nic_energy.config import Config, resolve
from nic_energy.errors import InputError, NicEnergyError, StoreError


@click.group("weights")
def weights_group() -> None:
    """Fetch the pretrained weights that measuring reads, where there is a network."""


def _configured(command: Callable[..., None]) -> Callable[..., None]:
    """The options of `plan` that say which campaign."""
    command = click.option("--config-json", type=JsonObject(), help="The merged configuration.")(
        command
    )
    return click.argument("configs", nargs=-1, type=PATH)(command)


def _config(configs: tuple[Path, ...], config_json: dict[str, Any] | None) -> Config:
    return resolve(read_configs(configs) if config_json is None else config_json)


@weights_group.command("fetch")
@_configured
def fetch_command(configs: tuple[Path, ...], config_json: dict[str, Any] | None) -> None:
    """Download the checkpoints of a campaign's networks and qualities to where measuring reads
    them: weights_dir, else torch's own folder ($TORCH_HOME).

    Those that are there are checked against the digest in their name, as measuring does, and not
    downloaded again.
    """
    from nic_energy.codecs.fetching import checkpoints, fetch, nothing_to_fetch

    config = _config(configs, config_json)
    if reason := nothing_to_fetch(config):
        click.echo(f"Nothing to fetch: {reason}.")
        return
    wanted, failed = checkpoints(config), []
    click.echo(f"{len(wanted)} checkpoints, in {wanted[0].path.parent}")
    for number, each in enumerate(wanted, 1):
        name = f"[{number}/{len(wanted)}] {each.network} quality {each.quality}"
        try:
            done = "fetched" if fetch(each, sys.stderr.isatty()) else "is there"
        except StoreError:
            raise
        except NicEnergyError as error:
            failed.append(f"  {each.network} quality {each.quality}: {error}")
            click.echo(f"{name}: FAILED")
            continue
        size = each.path.stat().st_size
        click.echo(f"{name}: {each.path.name}, {size / 1e6:.1f} MB, {done}")
    if failed:
        raise InputError(
            f"{len(failed)} of {len(wanted)} checkpoints cannot be used:\n" + "\n".join(failed)
        )


@weights_group.command("list")
@_configured
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_command(
    configs: tuple[Path, ...], config_json: dict[str, Any] | None, as_json: bool
) -> None:
    """List the checkpoints of a campaign, whether they are there, and their addresses."""
    from nic_energy.codecs.fetching import checkpoints, nothing_to_fetch

    config = _config(configs, config_json)
    wanted = checkpoints(config)
    if as_json:
        rows = [
            {"network": each.network, "quality": each.quality, "url": each.url,
             "path": str(each.path), "there": each.there}
            for each in wanted
        ]  # fmt: skip
        click.echo(json.dumps(rows, indent=2))
        return
    if reason := nothing_to_fetch(config):
        click.echo(f"Nothing to fetch: {reason}.")
        return
    for each in wanted:
        click.echo(
            f"{each.network} quality {each.quality}: {'is there' if each.there else 'MISSING'}, "
            f"{each.path}, {each.url}"
        )
    missing = sum(not each.there for each in wanted)
    click.echo(f"{len(wanted) - missing} are there, {missing} are missing.")
