"""A network and an image put on a PyTorch device."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nic_energy.codecs.execution import NetworkLoad, configure, execution_error
from nic_energy.codecs.networks import load_network
from nic_energy.codecs.padding import crop, pad, padded_size
from nic_energy.codecs.quality import rate_and_distortion
from nic_energy.config import Network
from nic_energy.images import load_rgb
from nic_energy.traces import ImageInfo

if TYPE_CHECKING:
    from torch import Tensor


def put_on_device(
    network: Network,
    quality: int,
    image: str,
    image_path: Path,
    image_sha256: str,
    settings: Mapping[str, Any],
    weights_dir: Path | None,
) -> tuple[NetworkLoad, ImageInfo, dict[str, Any], "Tensor"]:
    """(load, image, run settings as read back, unpadded input) of a modality.

    The order matters: determinism is set before CUDA starts.

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
    try:
        module, weights = load_network(
            network, quality, settings["weights"], settings["seed"], weights_dir
        )
        module = module.to(device)
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
