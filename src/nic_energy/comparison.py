"""Set-ups side by side: from their folders to the tables of a comparison."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from nic_energy import tables
from nic_energy.config.schema import read_schema, with_defaults
from nic_energy.energy.software import PACKAGES
from nic_energy.errors import InputError
from nic_energy.files import digest_of
from nic_energy.models.across import (
    TOLERANCE_PERCENT,
    Reference,
    choose_reference,
    normalise,
    portability,
    slope_rows,
)
from nic_energy.models.agreement import agreement, rankings
from nic_energy.models.joules import joules
from nic_energy.models.setups import SetUp, check

ROW_SETTINGS = (
    "source",
    "part",
    "estimator",
    "power_field",
    "idle_kind",
    "calibrated",
    "deterministic",
    "weights",
    "device_name",
    "device_uuid",
    "driver",
)
"""Columns of energy.csv that say how its joules came about."""

RUN_SETTINGS = ("device", "meter", "precision", "seed", "passport", "test_switch")


@dataclass(frozen=True)
class Comparison:
    """The tables of a comparison."""

    reference: Reference
    setups: Sequence[SetUp]
    slopes: pd.DataFrame
    portability: pd.DataFrame
    ranking: pd.DataFrame
    agreement: pd.DataFrame
    joules: pd.DataFrame
    settings: pd.DataFrame

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """By the name of their file."""
        return {name: getattr(self, name) for name in TABLES}


TABLES = ("slopes", "portability", "ranking", "agreement", "joules", "settings")


def compare(
    folders: Sequence[Path],
    reference: str | None = None,
    tolerance_percent: float = TOLERANCE_PERCENT,
) -> Comparison:
    """Compare set-ups.

    Args:
        folders: `results/{setup}` of each, or its label.
        reference: `network` or `network:level` that slopes are divided by; None chooses the first
            that all have.
        tolerance_percent: up to which difference set-ups agree.

    Raises:
        InputError: a folder holds no set-up, or the set-ups cannot be compared.
        MismatchError: a set-up mixes sources or estimators.
        ConfigError: not all set-ups have the reference.
    """
    folders = [located(folder) for folder in folders]
    setups = [read_setup(folder) for folder in folders]
    check(setups)
    chosen = choose_reference(setups, reference)
    normalised = normalise(setups, chosen)
    return Comparison(
        chosen,
        setups,
        slope_rows(normalised, chosen),
        portability(normalised, chosen, tolerance_percent),
        rankings(setups),
        agreement(setups),
        joules(setups),
        settings_table(
            {
                setup.label: settings_of(folder, setup)
                for folder, setup in zip(folders, setups, strict=True)
            }
        ),
    )


def located(folder: Path) -> Path:
    """The folder, or that of the label under results/ where only that holds energies."""
    under = Path("results") / folder
    here = (folder / "energy.csv").is_file()
    return under if not here and (under / "energy.csv").is_file() else folder


def read_setup(folder: Path) -> SetUp:
    """A set-up from its folder.

    Raises:
        InputError: it holds no energies, those of several set-ups, or a table of another schema.
    """
    path = folder / "energy.csv"
    if not path.exists():
        what = "holds no energy.csv" if folder.is_dir() else "is no folder"
        raise InputError(
            f"{folder}: is no set-up, it {what}. Give the label, or results/SETUP, of a campaign "
            "whose tables are built (make tables)."
        )
    energy = tables.read_csv(path, tables.ENERGY_COLUMNS)
    if energy.empty:
        raise InputError(f"{path}: holds no energies yet.")
    for column in ("pixels", "energy_j"):
        values = pd.to_numeric(energy[column], errors="coerce")
        if values.isna().any():
            line = int(values.isna().argmax()) + 2
            raise InputError(f"{path}, line {line}: {column} is no number.")
    labels = sorted({str(label) for label in energy["setup"]})
    if len(labels) > 1:
        raise InputError(f"{path}: holds energies of several set-ups: {', '.join(labels)}.")
    document = _document(folder / "config.json")
    return SetUp(labels[0], energy, _abbreviations(folder), document.get("calibration"))


def _abbreviations(folder: Path) -> dict[str, str]:
    path = folder / "models" / "energy_models.csv"
    if not path.exists():
        return {}
    models = tables.read_csv(path, ("network", "abbreviation"))
    return dict(zip(models["network"], models["abbreviation"], strict=True))


def _document(path: Path) -> dict[str, Any]:
    """A JSON document; empty where there is none.

    Raises:
        InputError: it is damaged.
    """
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error}).") from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: is no JSON object.")
    return found


def settings_of(folder: Path, setup: SetUp) -> dict[str, str]:
    """What can make energies differ between set-ups, as text by name; what is not known is
    missing.
    """
    energy = setup.energy
    found = {
        name: _words(energy[name])
        for name in ROW_SETTINGS
        if name in energy and _words(energy[name])
    }
    networks = {
        name: _words(rows["quality"]) for name, rows in energy.groupby("network", sort=False)
    }
    found["networks"] = ", ".join(f"{setup.short(str(n))} {q}" for n, q in networks.items())
    images = sorted(set(setup.rows["image"]))
    found["images"] = f"{len(images)} (set {digest_of(images)[:6]})"
    return {**found, **_configured(folder / "config.json"), **_environment(folder)}


def _configured(path: Path) -> dict[str, str]:
    """Run settings of a configuration. That of a table that was brought says nothing of how its
    energies were measured.
    """
    document = _document(path)
    if not document or document.get("energy_table"):
        return {}
    filled = with_defaults(read_schema(), document)
    found = {name: _text(filled[name]) for name in RUN_SETTINGS}
    meters = {filled["meter"]} & {"virtual", "cpu_load"}
    for group in ("protocol", *sorted(meters), "calibration"):
        if isinstance(filled[group], Mapping):
            found |= {f"{group}.{name}": _text(value) for name, value in filled[group].items()}
    return found


def _environment(folder: Path) -> dict[str, str]:
    packages = _document(folder / "reference" / "environment.json").get("packages") or {}
    return {name: str(packages[name]) for name in PACKAGES if name in packages}


def _words(column: pd.Series) -> str:
    return ", ".join(_text(value) for value in sorted(set(column.dropna())))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, default=lambda other: other.item())


def settings_table(by_setup: Mapping[str, Mapping[str, str]]) -> pd.DataFrame:
    """settings.csv: a row a setting and set-up; what differs comes first.

    `differs` is empty where a setting is not known of every set-up and those that are known agree.
    """
    names = dict.fromkeys(name for settings in by_setup.values() for name in settings)
    rows: list[tuple[int, dict[str, Any]]] = []
    for name in names:
        values = {label: settings.get(name) for label, settings in by_setup.items()}
        known = {value for value in values.values() if value is not None}
        differs = True if len(known) > 1 else None if None in values.values() else False
        place = {True: 0, None: 1, False: 2}[differs]
        rows += [
            (place, {"setting": name, "differs": differs, "setup": label, "value": value})
            for label, value in values.items()
        ]
    ordered = [row for _, row in sorted(rows, key=lambda pair: pair[0])]
    return tables.frame(ordered, tables.SETTING_COLUMNS)


def write(comparison: Comparison, output: Path) -> None:
    """Write the tables.

    Raises:
        InputError: the folder is that of a set-up.
    """
    refuse_setup(output)
    for name, table in comparison.tables.items():
        tables.write_csv(output / f"{name}.csv", table)


def refuse_setup(output: Path) -> None:
    """Refuse to write among the results of a set-up.

    Raises:
        InputError: the folder is that of a set-up.
    """
    if (output / "energy.csv").exists():
        raise InputError(
            f"{output}: is the folder of a set-up; give the comparison a folder of its own."
        )
