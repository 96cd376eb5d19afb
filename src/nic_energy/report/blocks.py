"""What a section of the page is made of: plain data that the template alone turns into markup.

Nothing here is HTML. Whatever a block holds is escaped where it is rendered, so that a section
cannot forget it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from nic_energy.report.grids import Grid


@dataclass(frozen=True)
class Text:
    """A paragraph; `tone` "source" sets it apart, "note" makes it small, "plain" neither."""

    text: str
    tone: str = "plain"
    strong: str = ""
    kind: ClassVar[str] = "text"


@dataclass(frozen=True)
class Sentences:
    """A list of sentences."""

    sentences: Sequence[str]
    kind: ClassVar[str] = "sentences"


@dataclass(frozen=True)
class Table:
    """A table that readers sort and filter.

    Attributes:
        grid: see `grids.grid`. caption: what it shows. of_joules: whether it holds joules or what
            was made of them, so that their source is printed on it. notes: sentences below it.
    """

    grid: Grid
    caption: str
    of_joules: bool = True
    notes: Sequence[str] = ()
    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class Figure:
    """A figure as a data URI, with what it shows in words."""

    stem: str
    uri: str
    caption: str


@dataclass(frozen=True)
class Figures:
    """Static figures, which carry their source themselves."""

    figures: Sequence[Figure]
    kind: ClassVar[str] = "figures"


@dataclass(frozen=True)
class Plot:
    """An interactive plot, and the static figures that stand for it on paper.

    Attributes:
        name: unique on the page. caption: says below the plot what is drawn. alt: what it shows,
            for who cannot see it. traces: Plotly's, each with `network` in its `meta` where it
            belongs to one; colours may be `@0`, `@1` … (of a network), `@ink` or `@muted`.
        layout: Plotly's. static: what is printed instead.
    """

    name: str
    caption: str
    alt: str
    traces: Sequence[Mapping[str, Any]]
    layout: Mapping[str, Any] = field(default_factory=dict)
    static: Sequence[Figure] = ()
    kind: ClassVar[str] = "plot"


@dataclass(frozen=True)
class TraceViewer:
    """The power trace of a modality that readers choose; `static` is printed instead."""

    caption: str
    static: Sequence[Figure] = ()
    kind: ClassVar[str] = "traces"


@dataclass(frozen=True)
class Facts:
    """Names and values, one a line."""

    facts: Sequence[tuple[str, str]]
    kind: ClassVar[str] = "facts"


@dataclass(frozen=True)
class Commands:
    """Commands as they are typed."""

    lines: Sequence[str]
    kind: ClassVar[str] = "commands"


@dataclass(frozen=True)
class Download:
    """A file to save: inside the page where `payload` names what holds it, else beside it."""

    name: str
    size: str
    payload: str | None


@dataclass(frozen=True)
class Downloads:
    """Files to save."""

    files: Sequence[Download]
    kind: ClassVar[str] = "downloads"


Block = Text | Sentences | Table | Figures | Plot | TraceViewer | Facts | Commands | Downloads
