"""A user's own network, from a Python file that the user names."""

import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from nic_energy.errors import InputError

if TYPE_CHECKING:
    from torch import nn

SEPARATOR = ".py:"


def is_reference(text: str) -> bool:
    """Whether a text names an object of a Python file: `path/to/file.py:Name`."""
    return SEPARATOR in text


def load_user_module(reference: str, quality: int | None) -> "nn.Module":
    """The network that `file.py:Name` names, in evaluation mode on the CPU.

    `Name` is a class or a function. It is called without arguments, or with the quality level where
    it takes one: as its only argument, or as `quality`.

    Raises:
        InputError: there is no such file or name, it cannot be called so, fails, or gives no
            torch.nn.Module.
    """
    from torch import nn

    path, _, name = reference.rpartition(":")
    factory = getattr(_load(Path(path)), name, None)
    if not callable(factory):
        raise InputError(f"{path}: has no class or function {name!r}.")
    arguments = _arguments(reference, factory, quality)
    try:
        module = factory(**arguments)
    except Exception as error:
        raise InputError(f"{reference}: failed when called ({_said(error)}).") from error
    if not isinstance(module, nn.Module):
        raise InputError(f"{reference}: gives {type(module).__name__}, no torch.nn.Module.")
    return module.eval()


def _load(path: Path) -> ModuleType:
    """Run a Python file as a module; the files beside it can be imported by it."""
    if not path.is_file():
        raise InputError(f"{path}: there is no such file.")
    spec = importlib.util.spec_from_file_location(f"_nic_energy_user_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path}: cannot be imported as Python.")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent.resolve()))
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(f"{path}: cannot be imported ({_said(error)}).") from error
    finally:
        sys.path.pop(0)
    return module


def _arguments(reference: str, factory: Any, quality: int | None) -> dict[str, int]:
    parameters = inspect.signature(factory).parameters.values()
    fixed = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    named = [each for each in parameters if each.kind not in fixed]
    needed = [each.name for each in named if each.default is inspect.Parameter.empty]
    if len(needed) > 1:
        raise InputError(
            f"{reference}: needs {', '.join(needed)}. Name a function without arguments that makes "
            "the network, or one that takes the quality level."
        )
    if needed and quality is None:
        raise InputError(f"{reference}: takes {needed[0]}; give it with --quality.")
    if needed:
        return {needed[0]: int(quality or 0)}
    if quality is not None and any(each.name == "quality" for each in named):
        return {"quality": quality}
    return {}


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
