"""A network and an image put on a PyTorch device."""

import gc
import itertools
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nic_energy.codecs.execution import NetworkLoad, configure, failing
from nic_energy.codecs.networks import load_network
from nic_energy.codecs.padding import crop, pad, padded_size
from nic_energy.codecs.quality import rate_and_distortion
from nic_energy.files import canonical_json
from nic_energy.fingerprint import of_network
from nic_energy.images import load_rgb
from nic_energy.measure.device import LoadedModality, LoadRequest
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


def put_on_device(request: LoadRequest, device: str, networks: Networks) -> LoadedModality:
    """A modality on a device, executed once for its rate and distortion: that needs as much memory
    as any execution.

    Args:
        device: as PyTorch names it.
        networks: those that are on the device already.

    Raises:
        NicEnergyError: see `failing`.
    """
    import torch

    network, settings = request.network, request.settings
    run = configure(settings["deterministic"], settings["precision"], device)
    rgb = load_rgb(request.image_path)
    height, width = rgb.shape[:2]
    original = torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None].float() / 255
    name = f"{network.network} quality {request.quality} on {request.image} ({width}x{height})"
    weights, seed = settings["weights"], settings["seed"]
    key = canonical_json([of_network(network), request.quality, weights, seed, device])
    with failing(name, device):
        module, weights_note = networks.get(
            key,
            lambda: load_network(network, request.quality, weights, seed, request.weights_dir),
            device,
        )
        load = NetworkLoad(module, pad(original, network.pad_multiple).to(device), name)
        bpp, psnr_db = quality_of(load, original, network.pad_multiple)
    size = padded_size(width, height, network.pad_multiple)
    info = ImageInfo(request.image, request.image_sha256, width, height, *size)
    return LoadedModality(load, info, {**run, "weights": weights_note}, bpp, psnr_db)


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


RESIDENT_SHARE = 0.25
"""Of a device's memory, for networks that stay: on 8 GB it leaves 6 to the activations (1.9 GiB on
2048x1408 pixels), the workspaces of cuDNN and the context; on 16 GB all 44 points stay (2.4 GB)."""


def resident_budget_bytes(device: str, configured: int | None = None) -> int:
    """Memory that networks may keep on a device: what is configured, else a share of all of it.

    Args:
        configured: in bytes; None follows the device.
    """
    if configured is not None:
        return configured
    import torch

    if torch.device(device).type == "cuda":
        total = torch.cuda.mem_get_info(device)[1]
    else:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(total * RESIDENT_SHARE)


def free_memory(device: str) -> None:
    """Give back to the device what nothing refers to any more."""
    import torch

    gc.collect()
    if torch.device(device).type == "cuda":
        torch.cuda.empty_cache()
