"""What one execution asks of the device besides multiplying: operators, layers, bytes, latents.

Definitions, all for one forward pass in fp32:

- An *operator* is an ATen operator as PyTorch dispatches it, which is about one kernel launch.
  Views, which change shapes and strides only, and allocations without a value move nothing and do
  not count. Operators on weights (the reparametrisation of GDN, say) are executed and do count.
- An *activation* is the image and whatever is computed from it; weights, buffers and what is
  computed from them alone are none. *Activation bytes* are what every operator reads of its
  arguments and writes of its results that are activations, each tensor once, with its elements'
  size. Caches, workspaces and fusion are not known to it: it is the traffic that the program asks
  for, not that of a memory bus.
- A *layer* is a module that owns parameters itself and runs; one that runs twice counts once.
- *Latent values* are those that get a likelihood (y, and z where there is a hyperprior).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

ALLOCATIONS = ("empty", "new_empty")
FIRST_UNREAD = ("copy_", "fill_", "zero_", "new_zeros", "new_ones", "new_full")
"""Operators that write without reading their first argument, as all named `*_like` do."""


@dataclass(frozen=True)
class OperatorCount:
    """One forward pass; `latent_values` is None for a network that gives no likelihoods."""

    layers: int
    calls: int
    activation_bytes: int
    latent_values: int | None


def count_operators(module: nn.Module, height: int, width: int) -> OperatorCount:
    """Count one forward pass on an image of zeros.

    Args:
        module: a network in evaluation mode on the CPU, or one without weights under
            `shapes_only`; takes shape (1, 3, height, width).
    """
    ran: set[str] = set()
    handles = [
        layer.register_forward_hook(_note(name, ran))
        for name, layer in module.named_modules()
        if next(layer.parameters(recurse=False), None) is not None
    ]
    image = torch.zeros(1, 3, height, width)
    counter = _Counter(image)
    try:
        # Inference mode would show composite operators whole instead of what they are made of.
        with torch.no_grad(), counter:
            output = module(image)
    finally:
        for handle in handles:
            handle.remove()
    return OperatorCount(len(ran), counter.calls, counter.activation_bytes, _latents(output))


def _note(name: str, ran: set[str]) -> Callable[..., None]:
    return lambda *_: ran.add(name)


def _latents(output: Any) -> int | None:
    likelihoods = output.get("likelihoods") if isinstance(output, Mapping) else None
    if not isinstance(likelihoods, Mapping):
        return None
    return sum(int(values.numel()) for values in likelihoods.values())


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operators and activation bytes while it is active."""

    def __init__(self, image: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls = 0
        self.activation_bytes = 0
        # Held, so that no other storage gets the address of one that is gone.
        self._activations = {_address(image): image.untyped_storage()}

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = func.overloadpacket.__name__
        inputs = list(_tensors((args, kwargs)))
        outputs = list(_tensors(result))
        addresses = {_address(tensor) for tensor in inputs}
        active = any(address in self._activations for address in addresses)
        if active:
            for tensor in outputs:
                self._activations[_address(tensor)] = tensor.untyped_storage()
        shares = bool(outputs) and all(_address(tensor) in addresses for tensor in outputs)
        view = shares and not func._schema.is_mutable
        if not view and not name.startswith(ALLOCATIONS):
            self.calls += 1
            unread = name in FIRST_UNREAD or name.endswith("_like")
            self.activation_bytes += self._bytes(inputs[1:] if unread else inputs)
            self.activation_bytes += self._bytes(outputs)
        return result

    def _bytes(self, tensors: Sequence[Tensor]) -> int:
        """Bytes of the activations among them; an expanded tensor counts what it holds."""
        distinct = {id(tensor): tensor for tensor in tensors}.values()
        return sum(
            min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())
            for tensor in distinct
            if _address(tensor) in self._activations
        )


def _tensors(tree: Any) -> Iterator[Tensor]:
    return (leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor) and leaf.numel())


def _address(tensor: Tensor) -> int:
    """Of the storage itself: that of its memory is 0 where a tensor has a shape only."""
    return int(tensor.untyped_storage()._cdata)
