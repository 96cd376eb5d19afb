"""Rate and distortion of one execution."""

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def bits_per_pixel(likelihoods: "dict[str, Tensor]", pixels: int) -> float | None:
    """Rate from the likelihoods, in bit per unpadded pixel; None where it is not finite."""
    import torch

    bits = sum(float(-torch.log2(values.double()).sum()) for values in likelihoods.values())
    return bits / pixels if math.isfinite(bits) else None


def psnr_db(reconstruction: "Tensor", original: "Tensor") -> float | None:
    """PSNR over all channels of two images in [0, 1], both rounded to 8 bit, as CompressAI's own
    evaluation does; None where it is not finite (equal images, broken reconstruction).
    """
    first, second = ((x.clamp(0, 1) * 255).round().double() for x in (reconstruction, original))
    error = float(((first - second) ** 2).mean())
    if not math.isfinite(error) or error == 0:
        return None
    return 10 * math.log10(255**2 / error)


def rate_and_distortion(
    output: Any, original: "Tensor", reconstruction: "Tensor"
) -> tuple[float | None, float | None]:
    """(bpp, PSNR in dB) of a CompressAI output; None for what a network does not give.

    Args:
        output: what `forward` returned, a mapping with `likelihoods`.
        original: the unpadded input, shape (1, 3, height, width), in [0, 1].
        reconstruction: the cropped `x_hat`, same shape.
    """
    pixels = original.shape[-2] * original.shape[-1]
    likelihoods = output.get("likelihoods")
    bpp = bits_per_pixel(likelihoods, pixels) if likelihoods else None
    return bpp, psnr_db(reconstruction, original)
