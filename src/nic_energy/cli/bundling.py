"""Commands for many labs: `bundle`, `verify` and `merge`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nic_energy.errors import BundleError
from nic_energy.files import sha256
from nic_energy.logs import visible

if TYPE_CHECKING:
    from nic_energy.bundle.manifest import Manifest
    from nic_energy.bundle.verify import Report

PATH = click.Path(path_type=Path)


@click.command("bundle")
@click.argument("folder", type=PATH)
@click.option("--output", "-o", type=PATH, help="Archive to write; {FOLDER}.nic-energy.zip.")
@click.option("--raw", is_flag=True, help="Pack every attempt ever made, not only accepted ones.")
@click.option("--figures", is_flag=True, help="Pack figures and page as well.")
@click.option("--lab", help="The laboratory, as the bundle is to say it.")
@click.option("--creator", help="Who measured.")
@click.option("--licence", help="Licence of the data, such as CC-BY-4.0.")
@click.option("--no-verify", is_flag=True, help="Do not verify the archive before it is kept.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def bundle_command(
    folder: Path,
    output: Path | None,
    raw: bool,
    figures: bool,
    lab: str | None,
    creator: str | None,
    licence: str | None,
    no_verify: bool,
    as_json: bool,
) -> None:
    """Pack a campaign into one archive, to publish or to hand on.

    FOLDER is results/{setup}. The same campaign gives the same bytes.
    """
    from nic_energy.bundle.layout import SUFFIX
    from nic_energy.bundle.manifest import Publication
    from nic_energy.bundle.pack import PackRequest, pack

    request = PackRequest(raw, figures, Publication(lab, creator, licence))
    folder = folder.absolute()
    target = output or folder.parent / f"{folder.name}{SUFFIX}"
    packed = pack(folder, target, request, check=not no_verify)
    manifest = packed.manifest
    size = target.stat().st_size
    if as_json:
        about = {
            "archive": str(target),
            "bytes": size,
            "sha256": sha256(target),
            "verified": packed.report is not None,
        }
        click.echo(json.dumps({**about, "manifest": asdict(manifest)}, indent=2))
        return
    click.echo(f"{target}: {_said_of(manifest)}")
    click.echo(f"  {len(manifest.files)} files, {size / 1e6:.3g} MB, SHA-256 {sha256(target)}")
    if manifest.publication.licence is None:
        click.echo(
            "  It names no licence, so that nobody else may use it: --licence CC-BY-4.0, or "
            "publication.licence in the configuration."
        )
    if packed.report is None:
        click.echo("  It is not verified: nic-energy verify", err=True)


@click.command("verify")
@click.argument("file", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def verify_command(file: Path, as_json: bool) -> None:
    """Check a bundle: every byte, every trace, and every table derived anew from the traces."""
    from nic_energy.bundle.verify import verify

    report = verify(file)
    if as_json:
        click.echo(json.dumps(report.document(), indent=2))
    else:
        _print(report)
    if not report.verified:
        raise BundleError(f"{file}: NOT verified: {len(report.problems)} problem(s), see above.")


def _print(report: "Report") -> None:
    head = "not a whole bundle" if report.manifest is None else _said_of(report.manifest)
    click.echo(f"{report.path}: {head}")
    click.echo(f"  SHA-256 {report.sha256}")
    for check in report.checks:
        click.echo(f"  {check.name:<7} {'WRONG' if check.problems else 'fine'}  {check.detail}")
        for problem in check.problems:
            click.echo(f"          {visible(problem)}")
    for note in report.notes:
        click.echo(f"  note: {visible(note)}")
    if report.verified:
        click.echo("  verified: whole and consistent; it is not signed, so not who made it")


def _said_of(manifest: "Manifest") -> str:
    device = manifest.device.name if manifest.device else "a table that was brought"
    missing = f", {manifest.missing} missing" if manifest.missing else ""
    said = [text for text in vars(manifest.publication).values() if text]
    return (
        f"set-up {manifest.setup}, {manifest.modalities} modalities{missing}, joules "
        f"{', '.join(manifest.sources)}, {device}{''.join(f', {text}' for text in said)}"
    )


class Rename(click.ParamType[tuple[str, str]]):
    """An option that takes OLD=NEW."""

    name = "old=new"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Split at the last `=`, which no label has."""
        old, sign, new = value.rpartition("=")
        if not sign or not old:
            self.fail("must be OLD=NEW", param, ctx)
        return old, new


@click.command("merge")
@click.argument("files", nargs=-1, required=True, type=PATH)
@click.option(
    "--output", "-o", type=PATH, default=Path("results/merged"), show_default=True,
    help="Folder to write; must not be there.",
)  # fmt: skip
@click.option(
    "--rename",
    "renames",
    type=Rename(),
    multiple=True,
    help="New label: FILE=LABEL, or OLD=NEW where only one bundle has the label OLD.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def merge_command(
    files: tuple[Path, ...], output: Path, renames: tuple[tuple[str, str], ...], as_json: bool
) -> None:
    """Verify bundles and put them together, each set-up by itself and their tables as one."""
    from nic_energy.bundle.merge import merge

    done = merge(files, output, dict(renames))
    if as_json:
        click.echo(json.dumps({**asdict(done), "folder": str(output)}, indent=2))
        return
    click.echo(
        f"{output}: {len(done.setups)} set-up(s), {done.modalities} modalities: "
        f"{', '.join(done.setups)}"
    )
    for note in done.notes:
        click.echo(f"  note: {visible(note)}")
