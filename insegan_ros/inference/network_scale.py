"""At what scale a network sees an image: its parts are then as large as those of its training."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from insegan_ros.deadline import check_time
from insegan_ros.distillation.network import STRIDE, NetworkConfig, network_input

SCALE_TOLERANCE = 0.06  # of a pixel's side: beyond it the image is resampled
MOST_PIXELS = 300_000  # that a network for any part sees: bounds the time
MOST_MAGNIFIED = 500_000  # that a network for one part sees of an image that is magnified
FEWEST_PX = 24.0  # of a part's length, in an image so large


def magnification(
    config: NetworkConfig,
    pixel_m: float,
    shape: tuple[int, ...],
    *,
    lengths_px: tuple[float, float] | None,
) -> float:
    """By how much an image (H, W) of such pixels is resampled for the network.

    A model of any part makes do with less of a large image, as long as parts stay FEWEST_PX.

    Args:
        lengths_px: of parts that a network for any part was trained for; None: it knows one part.

    Raises:
        ValueError: no bin and no camera of this model's kind gives such an image.
    """
    length_px, size = config.part_length_m / pixel_m, shape[0] * shape[1]
    if lengths_px is None:
        factor = pixel_m / config.pixel_m
        factor = 1.0 if abs(factor - 1) <= SCALE_TOLERANCE else factor
        too_much = factor > 1 and size * factor**2 > MOST_MAGNIFIED
    else:
        wanted = float(np.clip(length_px, *lengths_px)) / length_px
        factor = min(wanted, float(np.sqrt(MOST_PIXELS / size)))
        too_much = factor < wanted and factor * length_px < FEWEST_PX
    if too_much:
        raise ValueError(
            f'a part is only {length_px:.0f} px long here, in {shape[1]} x {shape[0]} px that '
            'may be the bin: too much for the model, which needs parts magnified. '
            'Is the depth in the right unit, the part length right, the camera over the bin? '
            "A bin file with the bin's region (insegan calibrate) makes it smaller"
        )
    return factor


def network_output(
    network: nn.Module,
    heights: NDArray[np.float32],
    config: NetworkConfig,
    *,
    device: torch.device,
) -> NDArray[np.float32]:
    """(C, H, W) what the network says of (H, W) heights, m, at their own pixels.

    Raises:
        FrameGivenUpError: the time is over.
    """
    height, width = heights.shape
    padding = [(0, -side % STRIDE) for side in heights.shape]
    padded = np.pad(heights, padding, constant_values=np.nan)
    image = torch.from_numpy(network_input(padded, config)[None])
    image = image.to(device, memory_format=torch.channels_last)
    check_time()
    with torch.inference_mode():
        output = network(image)[0].float().cpu().numpy()
    check_time()
    return np.asarray(output[:, :height, :width])
