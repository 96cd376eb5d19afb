"""One measurement outside of a campaign: what `measure IMAGE` does and prints."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nic_energy.campaign import duration
from nic_energy.config import project_root
from nic_energy.config.merge import read_merged
from nic_energy.vocabulary import SOURCE_NOTES

if TYPE_CHECKING:
    from nic_energy.protocol.repetitions import Progress
    from nic_energy.single import Single

LAB = Path("config") / "config.yaml"


def run(configs: tuple[Path, ...], as_json: bool, **options: Any) -> None:
    """Measure one network on one image and print the joule.

    Args:
        configs: overlays on the lab configuration, as for Snakemake's --configfile.
        options: of `measure_single`.

    Warnings alone are shown of the log, unless it says more (--verbose).
    """
    from nic_energy.single import measure_single

    if logging.getLogger().level > logging.DEBUG:
        logging.getLogger().setLevel(logging.WARNING)
    lab = LAB if LAB.exists() else project_root() / LAB
    line = _Line()
    try:
        found = measure_single(read_merged([lab, *configs]), report=line.show, **options)
    finally:
        line.clear()
    if as_json:
        click.echo(json.dumps(document(found), indent=2, default=str))
    else:
        click.echo("\n".join(lines(found)))


def document(found: "Single") -> dict[str, Any]:
    """The result as JSON: the row of energy.csv, missing values as null, and where it is from."""
    row = {k: None if v != v else getattr(v, "item", lambda v=v: v)() for k, v in found.row.items()}
    return {
        **row,
        "idle_reference": str(found.idle_path),
        "idle_created_utc": found.idle.created_utc,
        "idle_reused": found.reused,
        "protocol": "campaign" if found.reused else "short",
        "shortened": {key: list(pair) for key, pair in found.shortened.items()},
        "trace": str(found.attempt),
        "measured_before": found.linked,
    }


def lines(found: "Single") -> list[str]:
    """The result for people."""
    row = found.row
    converged = "converged" if row["converged"] else "NOT converged"
    said = [
        f"{row['network']} quality {row['quality']} ({row['level']}) on {row['image']} "
        f"({row['width']}x{row['height']}), {row['part']} on {row['device_name']}",
        f"  energy       {_energy(row)}",
        f"  source       {SOURCE_NOTES[row['source']]}, estimator {row['estimator']}",
        f"  windows      K = {row['repetitions']} of M = {row['executions']} executions of "
        f"{row['duration_s']:.3g} s; {converged}{_half_width(row)}",
        f"  idle         {row['idle_power_w']:.4g} W {row['idle_kind']}, {_idle(found)}",
    ]
    if row["bpp"] is not None and row["bpp"] == row["bpp"]:
        said.append(f"  rate         {row['bpp']:.3g} bpp at {row['psnr_db']:.4g} dB PSNR")
    if not found.reused:
        shorter = ", ".join(f"{key} {new:g} for {old}" for key, (old, new) in _sorted(found))
        said.append(
            "  protocol     short: "
            + (shorter or "an idle reference of its own, else as configured")
        )
    if row["flags"]:
        said.append(f"  flags        {row['flags']} (docs/faults.md)")
    before = ", measured before: --fresh measures again" if found.linked else ""
    said.append(f"  trace        {found.attempt}{before}")
    return said


def _energy(row: Mapping[str, Any]) -> str:
    """The joules with what is known of their uncertainty: too few windows have none."""
    if not _known(row["expanded_uncertainty_j"]):
        return f"{row['energy_j']:.4g} J an execution, uncertainty not known, idle subtracted"
    return (
        f"{row['energy_j']:.4g} J ± {row['expanded_uncertainty_j']:.2g} J "
        f"an execution (95 %, mostly {row['dominating_uncertainty']}), idle subtracted"
    )


def _half_width(row: Mapping[str, Any]) -> str:
    """Half the confidence interval; it is no share of a mean that is not above idle."""
    if _known(row["ci_half_width_percent"]):
        return f": ± {row['ci_half_width_percent']:.2g} %"
    return ", the energy is not above that of idle" if row["energy_j"] <= 0 else ""


def _known(value: Any) -> bool:
    return value is not None and value == value


def _sorted(found: "Single") -> list[tuple[str, tuple[Any, Any]]]:
    return sorted(found.shortened.items())


def _idle(found: "Single") -> str:
    origin = "the set-up's reference" if found.reused else "a reference of its own"
    return f"{origin} of {found.idle.created_utc}"


class _Line:
    """Progress on the terminal's last line; nothing where there is no terminal."""

    def __init__(self) -> None:
        from rich.console import Console

        console = Console(stderr=True)
        self._status = console.status("loading") if console.is_terminal else None
        if self._status is not None:
            self._status.start()

    def show(self, progress: "Progress") -> None:
        """Say how far it is."""
        if self._status is None:
            return
        decision = progress.decision
        text = f"window {progress.window.index + 1}"
        if decision is not None and decision.predicted_repetitions is not None:
            left = decision.predicted_repetitions - decision.repetitions
            seconds = max(0, left) * progress.window.duration_s
            text += (
                f" of about {decision.predicted_repetitions}: {decision.mean:.4g} J, "
                f"{duration(seconds)} of windows left"
            )
        self._status.update(text)

    def clear(self) -> None:
        """Take it away."""
        if self._status is not None:
            self._status.stop()
