"""Python imports this as it starts: puts the stand-in for CUDA under torch when that comes, and
makes what is measured on it a machine of its own, for which no measurement elsewhere waits.
"""

import hashlib
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

FOLDER = os.environ.get("FAKE_CUDA")


def cuda(_torch: ModuleType) -> None:
    """Put the stand-in under torch."""
    from fake_cuda_torch import patch

    patch()


def machine(neighbours: ModuleType) -> None:
    """Let the GPUs of one folder share a machine that holds no others."""
    own = neighbours.Machine(hashlib.sha256(str(FOLDER).encode()).hexdigest()[:8])
    neighbours.Machine.of = staticmethod(lambda device, results: own)


class Finder(MetaPathFinder):
    """Finds modules as they would be found, and does more when they have been executed."""

    def __init__(self, then: dict[str, Callable[[ModuleType], None]]) -> None:
        self.then = then

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        then = self.then.pop(name, None)
        spec = importlib.util.find_spec(name) if then else None
        if then is None or spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def executed(module: ModuleType) -> None:
            execute(module)
            then(module)

        spec.loader.exec_module = executed  # type: ignore[method-assign]
        return spec


if FOLDER:
    sys.meta_path.insert(0, Finder({"torch": cuda, "nic_energy.measure.neighbours": machine}))
