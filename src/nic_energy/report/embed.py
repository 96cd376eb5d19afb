"""How data and scripts get into a page that stands alone, safely and in little room."""

import base64
import gzip
import hashlib
import json
from functools import cache
from importlib import resources
from typing import Any

from nic_energy.errors import InputError

PLOTLY = "package_data/plotly.min.js"
UNSAFE = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}
"""Characters that could end a script element, as JSON writes them without."""


def packed(data: bytes) -> str:
    """Gzip in base64; equal bytes for equal data. The page's script unpacks it."""
    return base64.b64encode(gzip.compress(data, 9, mtime=0)).decode()


def as_json(value: Any) -> str:
    """Compact JSON that may stand inside a script element. NaN is refused: it is no JSON."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.translate(UNSAFE)


def script_hash(script: str) -> str:
    """What a content security policy calls an inline script by."""
    digest = hashlib.sha256(script.encode()).digest()
    return "sha256-" + base64.b64encode(digest).decode()


def data_uri(svg: bytes) -> str:
    """An SVG file as an image that needs no other file and in which no script runs."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()


def own(name: str) -> str:
    """A file that lies beside this module."""
    return resources.files("nic_energy.report").joinpath(name).read_text("utf-8")


def plotly() -> str:
    """The plotting library, as its Python package brings it.

    Raises:
        InputError: the package is not installed, or not whole.
    """
    try:
        return resources.files("plotly").joinpath(PLOTLY).read_text("utf-8")
    except (ModuleNotFoundError, OSError) as error:
        raise InputError(
            f"The Python package plotly, which draws the page's plots, cannot be read ({error}). "
            "Install what envs/lock.txt pins: make setup."
        ) from error


@cache
def library() -> tuple[str, str]:
    """The plotting library packed, and its hash."""
    script = plotly()
    return packed(script.encode()), script_hash(script)


def human_size(count: int) -> str:
    """A number of bytes for people."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{max(count / 1e3, 0.1):.1f} kB"
