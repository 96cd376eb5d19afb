"""Commands for images: `images download`, `images index`, `images prepare`."""

from pathlib import Path
from typing import Any

import click

from nic_energy.cli.measuring import PATH, JsonObject
from nic_energy.config import Images


@click.group("images")
def images_group() -> None:
    """Fetch, index and prepare images."""


@images_group.command("download")
@click.option("--images", type=JsonObject(), required=True, help="The `images` configuration.")
@click.option("--output", type=PATH, required=True, help="Archive to write.")
def download_command(images: dict[str, Any], output: Path) -> None:
    """Download the archive of the configuration and check it."""
    from nic_energy.images import download_archive

    download_archive(Images(**images), output)


@images_group.command("index")
@click.option("--images", type=JsonObject(), required=True, help="The `images` configuration.")
@click.option("--archive", type=PATH, help="The archive, for sources zip and url.")
@click.option("--output", type=PATH, required=True, help="index.csv to write.")
def index_command(images: dict[str, Any], archive: Path | None, output: Path) -> None:
    """List the images of a source with their ids, sizes and digests."""
    from nic_energy.images import index_images, write_index

    entries = index_images(Images(**images), archive)
    write_index(output, entries)
    click.echo(f"{len(entries)} images, {sum(e.width * e.height for e in entries)} pixels")


@images_group.command("prepare")
@click.option("--images", type=JsonObject(), required=True, help="The `images` configuration.")
@click.option("--archive", type=PATH, help="The archive, for sources zip and url.")
@click.option("--index", type=PATH, required=True, help="index.csv of the images.")
@click.option("--image", required=True, help="Id of the image.")
@click.option("--output", type=PATH, required=True, help="PNG to write.")
def prepare_command(
    images: dict[str, Any], archive: Path | None, index: Path, image: str, output: Path
) -> None:
    """Make one image RGB, 8 bit, upright, and write it as PNG."""
    from nic_energy.images import entry_of, prepare_image, read_index

    prepare_image(entry_of(read_index(index), image), Images(**images), archive, output)
