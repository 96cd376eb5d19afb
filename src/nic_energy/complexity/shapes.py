"""Networks without numbers: shapes are all that counting needs.

On PyTorch's meta device a tensor has a shape and no memory, and an operator works out the shape of
its result and computes nothing. Neither weights nor activations are made, so that a pass takes
milliseconds whatever the size of the network.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map_only

META = torch.device("meta")
INTEGERS = (torch.int8, torch.int16, torch.int32, torch.int64)


class _ShapesOnly(TorchFunctionMode):
    """Corrects two things that a library's code takes for granted and the meta device has not.

    Integers that a tensor is made of (the order of dimensions in CompressAI's entropy bottleneck)
    are read back as numbers, so they stay on the CPU. A constant from the constructor
    `torch.Tensor`, which knows nothing of devices, joins what it is combined with.
    """

    def __torch_function__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func in (torch.tensor, torch.arange) and kwargs.get("dtype") in INTEGERS:
            return func(*args, **{**kwargs, "device": "cpu"})
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if any(tensor.is_meta for tensor in tensors):
            args, kwargs = tree_map_only(Tensor, _without_numbers, (args, kwargs))
        return func(*args, **kwargs)


def _without_numbers(tensor: Tensor) -> Tensor:
    return tensor.to(META) if tensor.is_floating_point() else tensor


@contextlib.contextmanager
def shapes_only() -> Iterator[None]:
    """What is built in this context has no numbers; what runs in it computes none."""
    with META, _ShapesOnly():
        yield


def built_without_weights(make: Callable[[], nn.Module]) -> nn.Module:
    """A network that runs under `shapes_only` alone.

    Args:
        make: builds it; weights that it draws or computes are not made.
    """
    with shapes_only():
        module = make()
    # A parameter whose values the constructor replaced came to the CPU with them.
    return module.to(META)
