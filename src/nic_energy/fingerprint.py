"""A fingerprint of the code that can change a measured number.

It is among the parameters of every measurement, so that edited measurement code measures again
and nothing else does. Comments, docstrings and blank lines do not count.
"""

import ast
import hashlib
import importlib.util
import io
import tokenize
from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from nic_energy.config import Network
from nic_energy.files import sha256

PACKAGE = Path(__file__).resolve().parent

MEASURING: tuple[str, ...] = (
    "codecs/execution.py",
    "codecs/networks.py",
    "codecs/padding.py",
    "codecs/weights.py",
    "cublas.py",
    "energy/admissibility.py",
    "energy/estimators.py",
    "energy/idle.py",
    "measure/backends.py",
    "measure/device.py",
    "measure/loading.py",
    "measure/modality.py",
    "measure/reference.py",
    "measure/warm.py",
    "measure/workshop.py",
    "protocol/bench.py",
    "protocol/idle.py",
    "protocol/preheat.py",
    "protocol/repetitions.py",
    "sampler",
    "statistics/stopping.py",
)
IDLE: tuple[str, ...] = (
    "energy/admissibility.py",
    "energy/idle.py",
    "measure/idle.py",
    "protocol/idle.py",
    "sampler",
)
PASSPORT: tuple[str, ...] = (
    "measure/burning.py",
    "protocol/passport.py",
    "protocol/repetitions.py",
    "sampler",
)
PASSPORT_ANALYSIS: tuple[str, ...] = (
    "energy/estimators.py",
    "energy/passport.py",
    "energy/passport_choice.py",
    "energy/passport_response.py",
    "energy/passport_updates.py",
)
METER_FILES: dict[str, tuple[str, ...]] = {
    "nvml": (
        "meters/nvml.py",
        "meters/nvml_calls.py",
        "meters/nvml_facts.py",
        "meters/nvml_identity.py",
    ),
    "rapl": ("meters/rapl.py",),
    "cpu_load": ("meters/cpu_load.py",),
    "virtual": ("measure/virtual.py", "meters/virtual"),
}


def of_measurement(meter: str) -> str:
    """Fingerprint of what measures a modality with this meter: 16 hex digits."""
    return fingerprint((*MEASURING, *METER_FILES[meter]))


def of_idle(meter: str) -> str:
    """Fingerprint of what measures the idle reference with this meter: 16 hex digits."""
    return fingerprint((*IDLE, *METER_FILES[meter]))


def of_passport(meter: str) -> str:
    """Fingerprint of what records a sensor's passport with this meter: 16 hex digits."""
    return fingerprint((*PASSPORT, *METER_FILES[meter]))


def of_passport_analysis() -> str:
    """Fingerprint of what makes a passport of its record; a new one records nothing."""
    return fingerprint(PASSPORT_ANALYSIS)


def of_network(network: Network) -> dict[str, Any]:
    """What `store.NETWORK` lists, as JSON: with the digest of a user's own factory module, of that
    one file; null where the module is not found.
    """
    row: dict[str, Any] = {
        name: getattr(network, name) for name in ("network", "pad_multiple", "factory")
    }
    if network.factory != "compressai":
        try:
            found = importlib.util.find_spec(network.factory.partition(":")[0])
        except ImportError:
            found = None
        origin = found.origin if found else None
        row["factory_sha256"] = sha256(Path(origin)) if origin else None
    return row


@lru_cache
def fingerprint(entries: tuple[str, ...], root: Path = PACKAGE) -> str:
    """Digest of files and of all modules in folders, given relative to `root`."""
    digest = hashlib.sha256()
    for path in sorted(_modules(entries, root)):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        digest.update(essence(path.read_text(encoding="utf-8")).encode() + b"\0")
    return digest.hexdigest()[:16]


def _modules(entries: Iterable[str], root: Path) -> set[Path]:
    found: set[Path] = set()
    for entry in entries:
        path = root / entry
        found.update(path.rglob("*.py") if path.is_dir() else [path])
    return found


@cache
def essence(source: str) -> str:
    """Source code without comments, docstrings, blank lines and trailing spaces.

    Works on positions in the text, so that it is the same under every Python version.
    """
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for first, last in _docstrings(ast.parse(source)):
        lines[first - 1 : last] = [""] * (last - first + 1)
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _docstrings(tree: ast.AST) -> Iterable[tuple[int, int]]:
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if not isinstance(node, holders) or not node.body:
            continue
        first = node.body[0]
        text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
        if text and isinstance(first.value.value, str) and first.end_lineno:  # type: ignore[attr-defined]
            yield first.lineno, first.end_lineno
