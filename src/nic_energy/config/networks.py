"""The networks table: which networks exist, their levels and their padding."""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nic_energy.errors import ConfigError
from nic_energy.vocabulary import LEVELS, Level

COLUMNS = ("network", "abbreviation", "low", "high", "pad_multiple", "factory")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
ABBREVIATION = re.compile(r"\w[\w .+/()-]{0,39}")
"""Nothing that a spreadsheet would take for a formula or a page for markup."""
MAX_NUMBER = 10_000
"""Of a quality level and of the padding."""


@dataclass(frozen=True)
class Network:
    """A row of networks.tsv.

    `low` and `high` are the quality levels of the two variants (paper, Table 1), `pad_multiple`
    is what height and width are padded to a multiple of, `factory` is `compressai` (the network
    of that name in its zoo) or `module:function`, called with the quality level.
    """

    network: str
    abbreviation: str
    low: tuple[int, ...]
    high: tuple[int, ...]
    pad_multiple: int
    factory: str

    @property
    def qualities(self) -> tuple[int, ...]:
        """All quality levels, ascending."""
        return tuple(sorted({*self.low, *self.high}))

    def level(self, quality: int) -> Level:
        """The level of a quality.

        Raises:
            KeyError: the network has no such quality level.
        """
        for level in LEVELS:
            if quality in getattr(self, level):
                return level
        raise KeyError(quality)

    def padded_size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of what the network processes of an image of that size."""
        multiple = self.pad_multiple
        return -(-width // multiple) * multiple, -(-height // multiple) * multiple


def read_networks(path: Path) -> Mapping[str, Network]:
    """Read networks.tsv (tab-separated, one header line).

    Raises:
        ConfigError: the table is not there or a cell is wrong; the message names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from error
    reader = csv.DictReader(lines, delimiter="\t")
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise ConfigError(f"{path}, line 1: the columns must be {', '.join(COLUMNS)}.")
    networks: dict[str, Network] = {}
    for number, row in enumerate(reader, start=2):
        try:
            network = _network(row)
        except (ValueError, TypeError, AttributeError) as error:
            raise ConfigError(f"{path}, line {number}: {error}.") from error
        if network.network in networks:
            raise ConfigError(f"{path}, line {number}: {network.network} stands there twice.")
        networks[network.network] = network
    return networks


def _network(row: Mapping[str, str]) -> Network:
    name = row["network"].strip()
    if not NAME.fullmatch(name):
        raise ValueError(
            f"network {name[:100]!r} may hold letters, digits, '.', '_' and '-' only, at most 100"
        )
    abbreviation = row["abbreviation"].strip()
    if not ABBREVIATION.fullmatch(abbreviation):
        raise ValueError(
            f"abbreviation {abbreviation[:40]!r} must begin with a letter or a digit and may hold "
            "those, spaces and . _ + / ( ) - only, at most 40"
        )
    low, high = _range(row["low"], "low"), _range(row["high"], "high")
    if set(low) & set(high):
        raise ValueError("a quality level is low or high, not both")
    try:
        pad_multiple = int(row["pad_multiple"])
    except ValueError:
        pad_multiple = 0
    if not 1 <= pad_multiple <= MAX_NUMBER:
        raise ValueError(
            f"pad_multiple {row['pad_multiple']!r} must be a whole number from 1 to {MAX_NUMBER}"
        )
    factory = row["factory"].strip()
    if factory != "compressai" and factory.count(":") != 1:
        raise ValueError(f"factory {factory!r} must be compressai or module:function")
    return Network(name, abbreviation, low, high, pad_multiple, factory)


def _range(text: str, column: str) -> tuple[int, ...]:
    """`1-3,5` is (1, 2, 3, 5)."""
    values: list[int] = []
    for piece in filter(None, (part.strip() for part in text.split(","))):
        first, _, last = piece.partition("-")
        try:
            levels = range(int(first), int(last or first) + 1)
        except ValueError:
            raise ValueError(f"{column} {text!r} must be quality levels such as 1-3,5") from None
        if levels and (levels[0] < 0 or levels[-1] > MAX_NUMBER):
            raise ValueError(f"{column} {text!r}: quality levels go to {MAX_NUMBER}")
        values.extend(levels)
    return tuple(values)
