"""The sections of the page, one module each.

To add one, add a module here that holds `SECTION`: a `Section` with a title, an anchor that no
other has, its place among the others, and a function that gives its blocks, or none where the
set-up has nothing to show. Nothing else has to be changed.
"""

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nic_energy.report.blocks import Block
from nic_energy.report.context import Context


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes:
        place: sections stand in ascending order of it. anchor: its id. title: its heading.
        body: its blocks; a section without any is left out.
    """

    place: int
    anchor: str
    title: str
    body: Callable[[Context], Sequence[Block]]


def all_sections() -> list[Section]:
    """Every section, in the order of the page.

    Raises:
        ValueError: two sections have the same anchor.
    """
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    found: list[Section] = [importlib.import_module(f"{__name__}.{name}").SECTION for name in names]
    anchors = [section.anchor for section in found]
    twice = sorted({anchor for anchor in anchors if anchors.count(anchor) > 1})
    if twice:
        raise ValueError(f"Sections of the page share an anchor: {', '.join(twice)}.")
    return sorted(found, key=lambda section: section.place)
