"""A network and an image put on a PyTorch device."""

import itertools
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nic_energy.codecs.execution import NetworkLoad, configure, execution_error
from nic_energy.codecs.networks import load_network
from nic_energy.codecs.padding import crop, pad, padded_size
from nic_energy.codecs.quality import rate_and_distortion
from nic_energy.config import Network
from nic_energy.files import canonical_json
from nic_energy.fingerprint import of_network
from nic_energy.images import load_rgb
from nic_energy.traces import ImageInfo

if TYPE_CHECKING:
    from torch import Tensor, nn


class Networks:
    """Networks on a device, the least recently used leaving when there is no room.

    Args:
        budget_bytes: what parameters and buffers of all networks may take together; the one in
            use always stays.
    """

    def __init__(self, budget_bytes: int = 0) -> None:
        self._budget = budget_bytes
        self._held: OrderedDict[str, tuple[nn.Module, dict[str, Any], int]] = OrderedDict()

    def __contains__(self, key: str) -> bool:
        return key in self._held

    def __len__(self) -> int:
        return len(self._held)

    def get(
        self, key: str, load: "Callable[[], tuple[nn.Module, dict[str, Any]]]", device: str
    ) -> "tuple[nn.Module, dict[str, Any]]":
        """The network of that key on the device, loaded if it is not there, and a note on its
        weights.
        """
        if key not in self._held:
            module, weights = load()
            tensors = itertools.chain(module.parameters(), module.buffers())
            size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
            self._make_room(size)
            self._held[key] = (module.to(device), weights, size)
        self._held.move_to_end(key)
        module, weights, _ = self._held[key]
        return module, weights

    def _make_room(self, size: int) -> None:
        while self._held and sum(held[2] for held in self._held.values()) + size > self._budget:
            self._held.popitem(last=False)


def put_on_device(
    network: Network,
    quality: int,
    image: str,
    image_path: Path,
    image_sha256: str,
    settings: Mapping[str, Any],
    weights_dir: Path | None,
    networks: Networks,
) -> tuple[NetworkLoad, ImageInfo, dict[str, Any], "Tensor"]:
    """(load, image, run settings as read back, unpadded input) of a modality.

    The order matters: determinism is set before CUDA starts.

    Args:
        networks: those that are on the device already.

    Raises:
        MeasurementError: the network cannot be put on the device, mostly for want of memory.
    """
    import torch

    device = settings["device"]
    run = configure(settings["deterministic"], settings["precision"], device)
    rgb = load_rgb(image_path)
    height, width = rgb.shape[:2]
    original = torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None].float() / 255
    name = f"{network.network} quality {quality} on {image} ({width}x{height})"
    key = canonical_json(
        [of_network(network), quality, settings["weights"], settings["seed"], device]
    )
    try:
        module, weights = networks.get(
            key,
            lambda: load_network(
                network, quality, settings["weights"], settings["seed"], weights_dir
            ),
            device,
        )
        padded = pad(original, network.pad_multiple).to(device)
    except (RuntimeError, MemoryError) as error:
        raise execution_error(name, device, error) from error
    load = NetworkLoad(module, padded, name)
    size = padded_size(width, height, network.pad_multiple)
    return (
        load,
        ImageInfo(image, image_sha256, width, height, *size),
        {**run, "weights": weights},
        original,
    )


def quality_of(
    load: NetworkLoad, original: "Tensor", multiple: int
) -> tuple[float | None, float | None]:
    """(bpp, PSNR in dB) from one execution, outside the windows."""
    output = load.once()
    if not isinstance(output, Mapping) or "x_hat" not in output:
        return None, None
    height, width = original.shape[-2:]
    reconstruction = crop(output["x_hat"].cpu(), width, height, multiple)
    return rate_and_distortion(output, original, reconstruction)
