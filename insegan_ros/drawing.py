"""Depth, heights and instances as colours, in OpenCV's order (BGR)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from insegan_ros.camera import height_map
from insegan_ros.parts_bin import Bin, foreground
from insegan_ros.types import DepthFrame, Segmentation

BACKGROUND = 24  # grey of what is unmeasured
WARNING = (60, 60, 255)  # BGR
SCALE = 2  # px of a sheet of small pictures, a px of theirs


def colour_depth(
    depth_m: NDArray[np.float32], near: float, far: float, *, colours: int = cv2.COLORMAP_TURBO
) -> NDArray[np.uint8]:
    """(H, W) metres -> (H, W, 3) BGR, near bright, unmeasured dark."""
    scaled = (far - depth_m) / max(far - near, 1e-6)
    known = np.isfinite(scaled)
    byte = (np.clip(np.where(known, scaled, 0), 0, 1) * 215 + 20).astype(np.uint8)
    image = np.asarray(cv2.applyColorMap(byte, colours), np.uint8)
    image[~known] = BACKGROUND
    return image


def palette(count: int) -> NDArray[np.uint8]:
    """(count, 3) BGR, neighbours far apart in hue."""
    return _hues(np.arange(count), np.full(count, 255))


def kind_colours(kinds: NDArray[np.integer]) -> NDArray[np.uint8]:
    """(N,) 1, 2, ... -> (N, 3) BGR: a hue a kind of part, instances of one lighter and darker."""
    return _hues(np.asarray(kinds), 255 - 45 * (np.arange(len(kinds)) % 3))


def _hues(numbers: NDArray[np.integer], shades: NDArray[np.integer]) -> NDArray[np.uint8]:
    """A hue a number, those of neighbours far apart (golden ratio)."""
    hues = numbers * 0.618034 % 1 * 179
    hsv = np.stack([hues, np.full(len(hues), 191), shades], axis=-1).astype(np.uint8)[None]
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0] if len(hues) else np.zeros((0, 3), np.uint8)


def overlay(
    image: NDArray[np.uint8],
    labels: NDArray[np.integer],
    kinds: NDArray[np.integer] | None = None,
) -> NDArray[np.uint8]:
    """(H, W, 3) image and (H, W) labels -> the instances tinted and outlined over the image.

    Args:
        kinds: (N,) of the instances: their hues then show the kinds; None: neighbours.
    """
    out = image.copy()
    colours = palette(int(labels.max(initial=0))) if kinds is None else kind_colours(kinds)
    for k, around in enumerate(ndimage.find_objects(labels, len(colours)), 1):
        if around is None:
            continue
        # a pixel more on each side: outlines at the border of an image are others
        window = tuple(slice(max(side.start - 1, 0), side.stop + 1) for side in around)
        colour, seen = colours[k - 1], out[window]
        mask = labels[window] == k
        seen[mask] = 0.45 * seen[mask] + 0.55 * colour
        outline, _ = cv2.findContours(
            mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )
        corner = (window[1].start, window[0].start)
        cv2.drawContours(out, outline, -1, colour.tolist(), 1, offset=corner)
    return out


def picture(
    frame: DepthFrame, labels: NDArray[np.integer], kinds: NDArray[np.integer] | None = None
) -> NDArray[np.uint8]:
    """(H, W, 3): the frame in grey, near bright, with its instances in colour, as `overlay`."""
    measured = frame.depth_m[np.isfinite(frame.depth_m)]
    near, far = np.percentile(measured, [1, 99]) if len(measured) else (0.0, 1.0)
    grey = colour_depth(frame.depth_m, near, far, colours=cv2.COLORMAP_BONE)
    return overlay(grey, labels, kinds)


def found_picture(frame: DepthFrame, found: Segmentation) -> NDArray[np.uint8]:
    """(H, W, 3): `picture`; a frame that is not to be trusted is framed in red, and says why."""
    image = picture(frame, found.labels, found.kinds)
    if not found.doubts:
        return image
    height, width = image.shape[:2]
    cv2.rectangle(image, (0, 0), (width - 1, height - 1), WARNING, max(width // 200, 1))
    scale = width / 1000
    for line, doubt in enumerate(['doubtful:', *found.doubts], 1):
        place = (round(12 * scale), round(26 * scale * line))
        cv2.putText(image, doubt, place, cv2.FONT_HERSHEY_SIMPLEX, 0.7 * scale, WARNING)
    return image


def bin_picture(frame: DepthFrame, parts_bin: Bin) -> NDArray[np.uint8]:
    """(H, W, 3): heights, the floor white, what is no part dimmed, the bin's corners drawn."""
    heights = height_map(frame, parts_bin.floor)
    measured = np.isfinite(heights)
    top = max(float(np.percentile(heights[measured], 99)), 0.02) if measured.any() else 0.1
    image = colour_depth(-heights, -top, 0.0)
    with np.errstate(invalid='ignore'):
        image[np.abs(heights) < 0.004] = 255
        image[heights < -0.006] = (255, 0, 255)
    image[~foreground(frame, parts_bin)] //= 2
    if parts_bin.corners is not None:
        pixels = np.asarray(parts_bin.corners) @ frame.intrinsics.matrix.T
        corners = np.rint(pixels[:, :2] / pixels[:, 2:]).astype(np.int32)
        cv2.polylines(image, [corners.reshape(-1, 1, 2)], True, (255, 255, 255), 1)
    return image


def heights_picture(heights: NDArray[np.float32], top_m: float) -> NDArray[np.uint8]:
    """(H, W) metres -> (H, W, 3) BGR, dark where unmeasured, bright where `top_m` high."""
    return colour_depth(-heights, -top_m, 0.0, colours=cv2.COLORMAP_VIRIDIS)


def labels_picture(
    heights: NDArray[np.float32], labels: NDArray[np.integer], top_m: float
) -> NDArray[np.uint8]:
    """(H, W, 3) BGR: the instances over the heights in grey, as `overlay`."""
    return overlay(colour_depth(-heights, -top_m, 0.0, colours=cv2.COLORMAP_BONE), labels)


def fit(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The picture in another width and height; labels keep their sharp edges when it grows."""
    method = cv2.INTER_AREA if image.shape[1] > size[0] else cv2.INTER_NEAREST
    return cv2.resize(image, size, interpolation=method).astype(np.uint8)


def save_rows(path: Path, rows: Sequence[Sequence[NDArray[np.uint8]]], scale: int = SCALE) -> None:
    """Write equal pictures in rows, enlarged."""
    sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in rows], axis=0)
    size = (sheet.shape[1] * scale, sheet.shape[0] * scale)
    path.write_bytes(encode_png(cv2.resize(sheet, size, interpolation=cv2.INTER_NEAREST)))


def encode_png(image: NDArray[Any]) -> bytes:
    """(H, W) uint8 or uint16 -> the bytes of a PNG."""
    done, encoded = cv2.imencode('.png', image, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    if not done:
        raise ValueError(f'a {image.shape} {image.dtype} image cannot be written as PNG')
    return encoded.tobytes()
