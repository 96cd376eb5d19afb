"""Loading a network of the networks table."""

import hashlib
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nic_energy.codecs.weights import checkpoint_file, checkpoint_url, read_state
from nic_energy.config import Network
from nic_energy.errors import ConfigError, InputError

if TYPE_CHECKING:
    from torch import nn


def build(network: Network, quality: int, seed: int) -> "nn.Module":
    """The network with seeded random weights, in evaluation mode, on the CPU.

    The seed is mixed with network and quality; the global random state stays as it was.

    Raises:
        ConfigError: the factory of the networks table cannot be called.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        text = f"{seed}/{network.network}/{quality}"
        torch.manual_seed(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]))
        module = _construct(network, quality)
    return module.eval()


def _construct(network: Network, quality: int) -> "nn.Module":
    from torch import nn

    if network.factory == "compressai":
        from compressai.zoo import image_models

        if network.network not in image_models:
            raise ConfigError(
                f"config/networks.tsv: CompressAI has no network {network.network}; it has "
                f"{', '.join(image_models)}."
            )
        module = image_models[network.network](quality=quality, pretrained=False)
    else:
        name, _, function = network.factory.partition(":")
        try:
            module = getattr(importlib.import_module(name), function)(quality)
        except (ImportError, AttributeError) as error:
            raise ConfigError(
                f"config/networks.tsv: factory {network.factory} of {network.network}: {error}."
            ) from error
    if not isinstance(module, nn.Module):
        raise ConfigError(f"config/networks.tsv: {network.factory} gives no torch.nn.Module.")
    return module


def load_network(
    network: Network, quality: int, weights: str, seed: int, weights_dir: Path | None
) -> "tuple[nn.Module, dict[str, Any]]":
    """The network with its weights in evaluation mode on the CPU, and a note on the weights.

    Args:
        weights: `pretrained` or `random`.

    Raises:
        InputError: the pretrained weights are not there or do not fit.
    """
    if weights == "random":
        return build(network, quality, seed), {"kind": "random", "seed": seed}
    if network.factory != "compressai":
        return build(network, quality, seed), {"kind": "factory", "factory": network.factory}
    from compressai.zoo.image import model_architectures

    url = checkpoint_url(network.network, quality)
    path = checkpoint_file(url, weights_dir)
    try:
        module = model_architectures[network.network].from_state_dict(read_state(path))
    except (RuntimeError, KeyError) as error:
        raise InputError(f"{path}: does not fit {network.network} ({error}).") from error
    return module.eval(), {"kind": "pretrained", "file": path.name, "url": url}
