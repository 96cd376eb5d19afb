"""Python imports this as it starts: puts the stand-in for CUDA under torch when that comes."""

import importlib.util
import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class Finder(MetaPathFinder):
    """Finds torch as it would be found, and does more when it has been executed."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        if name != "torch":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec("torch")
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def executed(module: ModuleType) -> None:
            execute(module)
            from fake_cuda_torch import patch

            patch()

        spec.loader.exec_module = executed  # type: ignore[method-assign]
        return spec


if "FAKE_CUDA" in os.environ:
    sys.meta_path.insert(0, Finder())
