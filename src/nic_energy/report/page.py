"""The page of a set-up: one HTML file that needs no other file, made of its tables and figures."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from nic_energy.files import sha256, write_text
from nic_energy.report.blocks import Block, Plot, Table
from nic_energy.report.context import Context, Input, figure
from nic_energy.report.embed import as_json, library, own, packed, script_hash
from nic_energy.report.judged import LINKED
from nic_energy.report.results import TABLES, Results
from nic_energy.report.sections import Section, all_sections
from nic_energy.report.tracebook import book, curves

MOST_BYTES = 7_500_000
"""What the page may take; traces are thinned and files left beside it to stay below."""

MOST_TRACE_BYTES = 3_000_000
MOST_DOWNLOAD_BYTES = 1_500_000
LEAST_TRACE_BYTES = 200_000

ENVIRONMENT = "reference/environment.json"
FILES = (
    *(name for name, _ in TABLES.values()),
    *LINKED,
    "energy_estimators.csv",
    "models/folds.csv",
    "external_meter.csv",
    "external_meter.json",
    *(
        f"tables/{name}.{suffix}"
        for name in ("table1", "table2", "section4", "section5", "predictors")
        for suffix in ("csv", "html")
    ),
    "config.json",
    ENVIRONMENT,
)
"""Files of a set-up that the page is made of or leads to, the smaller part of them optional."""

FIRST = "energy.csv"
"""The file that is most worth having inside the page; then the small ones."""

COLOURS = 8
"""So many networks have a colour of their own; further ones begin anew."""


def write_page(
    folder: Path,
    output: Path,
    figures: Sequence[str],
    calibration: Mapping[str, Any] | None = None,
    external: Path | None = None,
    complexity: Path | None = None,
) -> None:
    """Write report.html.

    Args:
        folder: `results/{setup}`, whose tables and traces are shown.
        figures: SVG files, in the order to show them.
        calibration: the configuration's, if any.
        external: external_meter.json, if any.
        complexity: complexity.csv, if there is one.

    Raises:
        InputError: a table cannot be read.
    """
    environment = folder / ENVIRONMENT
    context = context_of(
        Results.read(folder, complexity),
        [Path(name) for name in figures],
        calibration,
        _read_json(external) if external else None,
    )
    context = replace(
        context,
        environment=_read_json(environment) if environment.is_file() else None,
        inputs=[
            Input(name, (folder / name).stat().st_size, sha256(folder / name))
            for name in FILES
            if (folder / name).is_file()
        ],
    )
    write_text(output, fitted(context, folder))


def context_of(
    results: Results,
    figures: Sequence[Path] = (),
    calibration: Mapping[str, Any] | None = None,
    external: Mapping[str, Any] | None = None,
) -> Context:
    """What sections may say something about, from tables and figures alone."""
    shown = {path.stem: figure(path) for path in figures}
    return Context(results, shown, calibration, external)


def fitted(context: Context, folder: Path) -> str:
    """The page with as many files and samples of traces in it as it has room for."""
    files: dict[str, str] = {}
    room = MOST_DOWNLOAD_BYTES
    for file in sorted(context.inputs, key=lambda file: (file.name != FIRST, file.size)):
        data = packed((folder / file.name).read_bytes())
        if len(data) <= room:
            files[file.name] = data
            room -= len(data)
    context = replace(context, payloads={name: f"file-{n}" for n, name in enumerate(files)})
    held = {context.payloads[name]: data for name, data in files.items()}
    found = list(curves(folder, context.results.energy))
    if found:
        left = MOST_BYTES - len(render(context, held))
        budget = max(LEAST_TRACE_BYTES, min(MOST_TRACE_BYTES, left))
        context = replace(context, traces=book(found, len(context.results.energy), budget))
    return render(context, held)


def render(context: Context, held: Mapping[str, str] | None = None) -> str:
    """The page as text; everything that came from outside is escaped.

    Args:
        held: packed files by the ids that `context.payloads` names.
    """
    sections = [(section, list(section.body(context))) for section in all_sections()]
    sections = [(section, blocks) for section, blocks in sections if blocks]
    plots = _plots(context, sections)
    script, (packed_library, library_hash) = own("page.js"), library()
    payloads = dict(held or {})
    if plots:
        payloads["plots"] = packed(as_json(plots).encode())
    if context.traces and context.traces.shown:
        payloads |= {"curves": context.traces.document, "samples": context.traces.samples}
    if "plots" in payloads or "curves" in payloads:
        payloads["plotly"] = packed_library
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.from_string(own("page.html.j2")).render(
        context=context,
        sections=sections,
        networks=[
            {"name": name, "short": context.abbreviations[name], "colour": number % COLOURS}
            for number, name in enumerate(context.networks)
        ],
        network_of=lambda table, row: network_of(context, table, row),
        source=f"{', '.join(context.sources)}",
        measured=context.sources == ["measured"],
        payloads=payloads,
        about=Markup(as_json(about(context))),  # noqa: S704 - `as_json` leaves no markup
        style=Markup(own("page.css")),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        hashes=f"'{script_hash(script)}' '{library_hash}'",
    )


def about(context: Context) -> dict[str, Any]:
    """What the page's script has to know."""
    return {
        "networks": context.networks,
        "short": [context.abbreviations[name] for name in context.networks],
        "source": context.sources_text,
    }


def network_of(context: Context, table: Table, row: int) -> int | None:
    """Number of the network that a row of a table belongs to; None for a row of none."""
    known = table.grid.get("networks") or []
    cells = [known[row]] if known else table.grid["rows"][row][:2]
    for number, name in enumerate(context.networks):
        if name in cells or (not known and context.abbreviations[name] in cells):
            return number
    return None


def _plots(
    context: Context, sections: Sequence[tuple[Section, Sequence[Block]]]
) -> dict[str, dict[str, Any]]:
    """What the script draws, by the names of the plots."""
    estimators = ", ".join(context.values("estimator"))
    return {
        block.name: {
            "traces": block.traces,
            "layout": block.layout,
            "alt": block.alt,
            "source": f"Energies {context.sources_text}; estimator {estimators}",
        }
        for _, blocks in sections
        for block in blocks
        if isinstance(block, Plot)
    }


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
