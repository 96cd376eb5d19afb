"""The page of a comparison of set-ups, and its sentences."""

import base64
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, StrictUndefined

from nic_energy.files import write_text
from nic_energy.models.across import AGREES, DIFFERS, UNDECIDED
from nic_energy.models.uncertainty import numbers
from nic_energy.report.grids import Grid, View, grid
from nic_energy.report.ranks import QUANTITIES, in_words
from nic_energy.typeset.cells import NOTHING, plus_minus
from nic_energy.vocabulary import LEVELS, SOURCE_NOTES

PORTABILITY_VIEW: View = (
    ("network", "network", None, 1),
    ("level", "level", None, 1),
    ("set-ups", "setups", ".0f", 1),
    ("source", "source", None, 1),
    ("α / α of reference", "ratio", ".3f", 1),
    ("verdict", "verdict", None, 1),
    ("told apart", "differing", None, 1),
    ("p", "p_value", ".2g", 1),
    ("largest difference (%)", "spread_percent", ".1f", 1),
    ("at most (%)", "spread_most_percent", ".3g", 1),
    ("τ (%)", "tau_percent", ".1f", 1),
    ("τ at most (%)", "tau_most_percent", ".3g", 1),
    ("I² (%)", "i_squared_percent", ".0f", 1),
)
AGREEMENT_VIEW: View = (
    ("by", "by", None, 1),
    ("level", "level", None, 1),
    ("set-ups", "setup", None, 1),
    ("source", "source", None, 1),
    ("networks", "networks", ".0f", 1),
    ("same order", "concordant", ".0f", 1),
    ("reversed", "discordant", ".0f", 1),
    ("not told apart", "undecided", ".0f", 1),
    ("τ of the values", "tau", ".2f", 1),
    ("τ-b, ties", "tau_b", ".2f", 1),
    ("τ possible", "possible", None, 1),
    ("which reversed", "reversed", None, 1),
)
JOULE_VIEW: View = (
    ("network", "network", None, 1),
    ("level", "level", None, 1),
    ("set-ups", "setup", None, 1),
    ("second over first", "shown", "", 1),
    ("why not", "note", None, 1),
)


def summary(portability: pd.DataFrame) -> list[str]:
    """What is portable, in sentences; one a kind of source and part."""
    if portability.empty:
        return ["No two set-ups of one kind have a network in common besides the reference."]
    sentences = []
    for _, rows in portability.groupby(["source", "part"], sort=False):
        named = {
            verdict: [f"{r['abbreviation']} {r['level']}" for r in group.to_dict("records")]
            for verdict, group in rows.groupby("verdict")
        }
        tolerance = rows["tolerance_percent"].iloc[0]
        parts = [
            (DIFFERS, "set-ups differ in"),
            (AGREES, f"they agree within {tolerance:g} % in"),
            (UNDECIDED, "too little is known of"),
        ]
        said = [f"{words} {', '.join(named[v])}" for v, words in parts if v in named]
        small = rows[(rows["verdict"] == AGREES) & (rows["differing"].fillna("") != "")]
        if len(small):
            names = [f"{r['abbreviation']} {r['level']}" for r in small.to_dict("records")]
            said.append(f"told apart, though by less than that, in {', '.join(names)}")
        source = ", ".join(sorted({w for cell in rows["source"] for w in cell.split(";")}))
        text = "; ".join(said)
        sentences.append(f"{text[0].upper()}{text[1:]} ({rows['part'].iloc[0]}, {source}).")
    return sentences


def agreement_sentences(agreement: pd.DataFrame) -> list[str]:
    """How far two set-ups rank alike, one a row of agreement.csv."""
    sentences = []
    for row in agreement.to_dict("records"):
        if pd.isna(row["tau_low"]):
            continue
        by, (one, two) = QUANTITIES[row["quantity"]][0], str(row["setup"]).split(";")
        told = int(row["concordant"] + row["discordant"])
        reverse = (
            f", {int(row['discordant'])} of them the other way round ({row['reversed']})"
            if row["discordant"]
            else ""
        )
        sentences.append(
            f"{one} and {two}, by {by}, {row['level']} quality levels: {told} of "
            f"{int(row['pairs'])} pairs of networks are in order on both{reverse}; Kendall's τ "
            f"lies between {row['tau_low']:.2f} and {row['tau_high']:.2f} (95 %)."
        )
    return sentences


def joule_sentence(joules: pd.DataFrame) -> str:
    """Whether the joules of the set-ups can be compared."""
    if joules.empty:
        return "No two set-ups of one kind have a network in common."
    able = joules["comparable"].astype(bool)
    if able.all():
        return (
            "The joules of these set-ups are comparable: calibrated against meters that see the "
            "same, or of one board."
        )
    pairs = ", ".join(sorted({pair.replace(";", " and ") for pair in joules[~able]["setup"]}))
    return (
        f"Absolute joules are NOT comparable between {pairs}: sensors of boards "
        "differ in gain by some percent, and not all are calibrated against external meters that "
        "see the same. "
        "Ratios to the reference are free of the gain."
    )


def differing_settings(settings: pd.DataFrame) -> pd.DataFrame:
    """The settings that differ, a column a set-up."""
    rows = settings[settings["differs"] == True]  # noqa: E712 - may be missing
    wide = rows.pivot(index="setting", columns="setup", values="value")
    labels = list(dict.fromkeys(settings["setup"]))
    return wide.reindex(index=list(dict.fromkeys(rows["setting"])), columns=labels).reset_index()


def unknown_settings(settings: pd.DataFrame) -> list[str]:
    """Settings that are not known of every set-up."""
    return list(dict.fromkeys(settings[settings["differs"].isna()]["setting"]))


def slopes_wide(slopes: pd.DataFrame) -> tuple[pd.DataFrame, View]:
    """A row a network and level, a column a set-up with its source, and how to show it."""
    ratios = [
        f"{value:.3f} ({low:.3f} to {high:.3f})" if low < high else plus_minus(value, None)
        for value, low, high in zip(
            *(numbers(slopes, n) for n in ("ratio", "ratio_low", "ratio_high")), strict=True
        )
    ]
    labels = [
        f"{setup} ({source})"
        for setup, source in zip(slopes["setup"], slopes["source"], strict=True)
    ]
    table = slopes.assign(shown=ratios, column=labels)
    keys = ["part", "network", "level"]
    wide = table.pivot(index=keys, columns="column", values="shown")
    wide = wide.loc[list(dict.fromkeys(zip(*(slopes[k] for k in keys), strict=True)))]
    columns = list(dict.fromkeys(labels))
    view = [(name, name, None, 1.0) for name in keys] + [(c, c, "", 1.0) for c in columns]
    return wide[columns].reset_index(), view


def write_page(
    tables: dict[str, pd.DataFrame], reference: str, output: Path, figures: Sequence[Path]
) -> None:
    """Write the page of a comparison.

    Args:
        tables: of the comparison, by the name of their file. figures: SVG files.
    """
    write_text(output, render(tables, reference, figures))


def render(tables: dict[str, pd.DataFrame], reference: str, figures: Sequence[Path] = ()) -> str:
    """The page as text; everything that came from outside is escaped."""
    folder = resources.files("nic_energy.report")
    template = folder.joinpath("comparison.html.j2").read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    slopes = tables["slopes"]
    sources = dict(zip(slopes["setup"], slopes["source"], strict=True))
    return environment.from_string(template).render(
        setups=list(sources.items()),
        measured=set(sources.values()) == {"measured"},
        notes=[SOURCE_NOTES[source] for source in sorted(set(sources.values()))],
        reference=reference.replace(":", ", "),
        summary=summary(tables["portability"]),
        slopes=grid(*slopes_wide(slopes)),
        portability=grid(_spoken(tables["portability"]), PORTABILITY_VIEW),
        ranking=_ranking_sentences(tables["ranking"]),
        agreed=agreement_sentences(tables["agreement"]),
        agreement=grid(_agreement(tables["agreement"]), AGREEMENT_VIEW),
        joules=joule_sentence(tables["joules"]),
        joules_table=grid(_joules(tables["joules"]), JOULE_VIEW),
        settings=_settings(tables["settings"]),
        unknown=unknown_settings(tables["settings"]),
        figures=[_data_uri(path) for path in figures],
        files=[f"{name}.csv" for name in tables],
    )


def _spoken(portability: pd.DataFrame) -> pd.DataFrame:
    return portability.assign(
        differing=[", ".join(str(cell).split(";")) for cell in portability["differing"].fillna("")],
        source=[", ".join(str(cell).split(";")) for cell in portability["source"]],
    )


def _agreement(agreement: pd.DataFrame) -> pd.DataFrame:
    return agreement.assign(
        by=[QUANTITIES[name][0] for name in agreement["quantity"]],
        setup=[" and ".join(str(cell).split(";")) for cell in agreement["setup"]],
        possible=[
            NOTHING if pd.isna(low) else f"{low:.2f} to {high:.2f}"
            for low, high in zip(agreement["tau_low"], agreement["tau_high"], strict=True)
        ],
    )


def _joules(joules: pd.DataFrame) -> pd.DataFrame:
    ratios = zip(*(numbers(joules, n) for n in ("ratio", "ratio_low", "ratio_high")), strict=True)
    return joules.assign(
        setup=[" and ".join(str(cell).split(";")) for cell in joules["setup"]],
        shown=[
            f"{value:.3f} ({low:.3f} to {high:.3f})" if low < high else plus_minus(value, None)
            for value, low, high in ratios
        ],
    )


def _settings(settings: pd.DataFrame) -> Grid | None:
    wide = differing_settings(settings)
    if wide.empty:
        return None
    return grid(wide, [(str(column), column, None, 1.0) for column in wide.columns])


def _ranking_sentences(ranking: pd.DataFrame) -> list[str]:
    sentences = []
    for name, (words, _, _) in QUANTITIES.items():
        for level in LEVELS:
            rows = ranking[(ranking["quantity"] == name) & (ranking["level"] == level)]
            for (setup, source), own in rows.groupby(["setup", "source"], sort=False):
                said = in_words(own.to_dict("records"))
                sentences.append(f"{setup} ({source}), by {words}, {level}: {said}.")
    return sentences


def _data_uri(path: Path) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode()


def as_document(tables: dict[str, pd.DataFrame], reference: str) -> dict[str, Any]:
    """The comparison as JSON: every table as a list of rows, missing values null."""
    return {
        "reference": reference,
        **{
            name: [
                {key: _plain(value) for key, value in row.items()}
                for row in table.to_dict("records")
            ]
            for name, table in tables.items()
        },
    }


def _plain(value: Any) -> Any:
    if value is None or pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value
