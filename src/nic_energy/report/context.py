"""What a section may say something about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from nic_energy.report.blocks import Figure
from nic_energy.report.embed import data_uri
from nic_energy.report.results import Results
from nic_energy.report.tracebook import TraceBook
from nic_energy.vocabulary import SOURCE_NOTES

CAPTIONS = {
    "power_trace": "Power over time of one modality; the window lies between the dashed lines.",
    "slope_over_mac": "Slope α over multiply-accumulate operations per pixel.",
    "predictor_correlations": "Correlation of the slope α with network parameters.",
    "residuals": "Relative residuals of the lines over pixels; influential images are ringed.",
    "joint_model": "Networks that were left out: predicted over measured, with 95 % intervals.",
    "uncertainty_budget": "Median standard uncertainties of the energies, by what causes them.",
    "idle_drift": "Idle power over the time of the campaign.",
    "external_meter": "Mean powers of the runs on both sides, and what the line leaves.",
}
OVER_PIXELS = "energy_over_pixels_"


@dataclass(frozen=True)
class Input:
    """A file that the page was made of: its name, bytes and SHA-256."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Context:
    """All that is known of the set-up.

    Attributes:
        figures: static figures by stem. calibration: the configuration's, if any. external:
            external_meter.json, if any. environment: environment.json, if any. traces: the power
            traces, if any lie beside the tables. inputs: the files that the page was made of.
        payloads: names of the files that lie inside the page, with the id of what holds each.
    """

    results: Results
    figures: Mapping[str, Figure] = field(default_factory=dict)
    calibration: Mapping[str, Any] | None = None
    external: Mapping[str, Any] | None = None
    environment: Mapping[str, Any] | None = None
    traces: TraceBook | None = None
    inputs: Sequence[Input] = ()
    payloads: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def sources(self) -> list[str]:
        """Where the joules come from, each kind once."""
        return sorted(set(self.results.energy["source"]))

    @cached_property
    def sources_text(self) -> str:
        """The same in words."""
        return "; ".join(SOURCE_NOTES[source] for source in self.sources)

    @cached_property
    def networks(self) -> list[str]:
        """The networks, in the order of the table."""
        return list(dict.fromkeys(map(str, self.results.energy["network"])))

    @cached_property
    def abbreviations(self) -> dict[str, str]:
        """The short name of every network; its name where there is none."""
        table = self.results.models
        short = dict(zip(table["network"], table["abbreviation"], strict=True))
        return {name: str(short.get(name, name)) for name in self.networks}

    @cached_property
    def setup(self) -> str:
        """Label of the set-up."""
        return ", ".join(self.values("setup"))

    def values(self, column: str) -> list[str]:
        """The values of a column of energy.csv, each once; none where it has no such column."""
        energy = self.results.energy
        return sorted(map(str, set(energy[column].dropna()))) if column in energy else []

    def shown(self, *stems: str) -> list[Figure]:
        """The figures of these stems that there are."""
        return [self.figures[stem] for stem in stems if stem in self.figures]


def figure(path: Path) -> Figure:
    """An SVG file as a figure of the page."""
    network = path.stem.removeprefix(OVER_PIXELS)
    caption = CAPTIONS.get(path.stem, f"Energy of one execution over pixels: {network}.")
    return Figure(path.stem, data_uri(path.read_bytes()), caption)
