"""What the page was made of, and how to make it again."""

import shlex

import pandas as pd

from nic_energy import __version__
from nic_energy.report.blocks import Block, Commands, Facts, Table, Text
from nic_energy.report.context import Context
from nic_energy.report.embed import human_size
from nic_energy.report.grids import View, grid
from nic_energy.report.sections import Section

INPUT_VIEW: View = (
    ("file", "name", None, 1),
    ("size", "size", None, 1),
    ("SHA-256", "sha256", None, 1),
)
CONFIG = "config.json"
RUN = "snakemake --cores 1 --resources gpu=1"
REBUILD = "snakemake tables --cores 1 --resources gpu=1 --config allow_missing=true"


def commands(context: Context) -> list[Block]:
    """How to do all of it again, from the folder that holds results/."""
    if CONFIG not in {file.name for file in context.inputs}:
        return []
    found: list[Block] = []
    for setup in context.values("setup"):
        option = shlex.join(["--configfile", f"results/{setup}/{CONFIG}"])
        found += [
            Text(
                "To run the campaign with the configuration that it had, in a clone of nic-energy. "
                "What is there already is not measured again:"
            ),
            Commands([f"{RUN} {option}"]),
            Text("To make the tables anew from the traces, on a machine that measures nothing:"),
            Commands([f"{REBUILD} {option}"]),
        ]
    return found


def body(context: Context) -> list[Block]:
    """Versions, hashes of all inputs, and the commands."""
    if not context.inputs:
        return []
    table = pd.DataFrame(
        [
            {"name": file.name, "size": human_size(file.size), "sha256": file.sha256}
            for file in context.inputs
        ]
    )
    energy = context.results.energy
    facts = [
        ("Page made by", f"nic-energy {__version__}"),
        ("Measured from", str(energy["created_utc"].min()) if "created_utc" in energy else ""),
        ("Measured until", str(energy["created_utc"].max()) if "created_utc" in energy else ""),
    ]
    return [
        Text(
            "The page follows from these files alone; sha256sum gives the same digests as long "
            "as they are the same."
        ),
        Facts([(name, value) for name, value in facts if value]),
        Table(grid(table, INPUT_VIEW), "Files that this page was made of", of_joules=False),
        *commands(context),
    ]


SECTION = Section(190, "provenance", "Provenance", body)
