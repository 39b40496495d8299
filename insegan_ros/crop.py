"""The square of the bin's floor that learned models see, as heights, and the way back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from insegan_ros.camera import height_map, pixel_rays
from insegan_ros.floor import floor_frame
from insegan_ros.parts_bin import Bin, FindingConfig, foreground
from insegan_ros.types import DepthFrame, FloatImage

SUPERSAMPLING = 2  # native pixels are averaged, not skipped, where the crop is coarser
LOW, HIGH = 0.1, 0.9  # what `gap` codes heights of 0 and height_m as; -1 is where no part is


@dataclass(frozen=True)
class CropConfig:
    """What a model's images show: the same metres whatever the camera's height or tilt."""

    side_m: float  # of the square on the bin's floor
    height_m: float  # above the floor: nearly nothing is higher
    size: int = 64  # px, side of the image
    # How a height becomes a value. `linear`: the floor is -1 and height_m is 1. `gap`: where no
    # part was seen is -1, and parts lie between LOW and HIGH, well apart from it.
    coding: Literal['linear', 'gap'] = 'linear'
    # how the bin is found in a frame
    finding: FindingConfig = field(default_factory=FindingConfig)

    def __post_init__(self) -> None:
        if not self.side_m > 0 or not self.height_m > 0 or self.size < 8:
            raise ValueError(
                f'crop of {self.side_m} m, {self.height_m} m high, {self.size} px: positive '
                'lengths and at least 8 px are expected'
            )


@dataclass(frozen=True)
class BinCrop:
    """One frame's crop: its pixels correspond to the frame's by a homography, either way."""

    image: FloatImage  # (S, S) heights, coded as config.coding says, in [-1, 1]
    homography: NDArray[np.float64]  # (3, 3): pixels of the crop -> pixels of the frame
    config: CropConfig

    @staticmethod
    def of(frame: DepthFrame, parts_bin: Bin, config: CropConfig) -> BinCrop:
        """What stands in the bin; walls and what was not measured count as floor."""
        heights = height_map(frame, parts_bin.floor)
        parts = foreground(frame, parts_bin)
        values = encode(np.where(parts, heights, np.float32(0)), config)
        values = np.where(parts, values, np.float32(-1)) + 1  # 0 flows in from outside
        measured = np.isfinite(frame.depth_m).astype(np.float32)
        fine = config.size * SUPERSAMPLING
        homography = floor_homography(frame, parts_bin, config)
        # a fine pixel's centre in the crop's pixels
        offset = (1 / SUPERSAMPLING - 1) / 2
        scale = np.array(
            [[1 / SUPERSAMPLING, 0, offset], [0, 1 / SUPERSAMPLING, offset], [0, 0, 1]]
        )
        to_fine = np.linalg.inv(homography @ scale)
        seen, known = (
            cv2.warpPerspective(np.asarray(image), to_fine, (fine, fine), flags=cv2.INTER_NEAREST)
            for image in (values * measured, measured)
        )
        blocks = (config.size, SUPERSAMPLING, config.size, SUPERSAMPLING)
        total, weight = (image.reshape(blocks).sum(axis=(1, 3)) for image in (seen, known))
        image = (total / np.maximum(weight, 1) - 1).astype(np.float32)
        return BinCrop(image, homography, config)

    def restore(self, images: NDArray[np.floating], frame: DepthFrame) -> NDArray[np.float32]:
        """(N, S, S) values of the crop -> (N, H, W) at the frame's pixels, -1 outside."""
        size = (frame.intrinsics.width, frame.intrinsics.height)
        restored = [
            cv2.warpPerspective(
                np.ascontiguousarray(image, np.float32),
                self.homography,
                size,
                flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_CONSTANT,
                borderValue=-1.0,
            )
            for image in images
        ]
        return np.stack(restored) if restored else np.zeros((0, *size[::-1]), np.float32)

    def heights(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """Values in [-1, 1] -> metres above the floor."""
        return decode(values, self.config)


def encode(heights: NDArray[np.floating], config: CropConfig) -> NDArray[np.float32]:
    """Metres above the floor, of parts -> values in [-1, 1]."""
    share = np.clip(heights / config.height_m, 0, 1)
    low, high = (LOW, HIGH) if config.coding == 'gap' else (-1.0, 1.0)
    return (low + (high - low) * share).astype(np.float32)


def decode(values: NDArray[np.floating], config: CropConfig) -> NDArray[np.float32]:
    """Values in [-1, 1] -> metres above the floor; what lies in the gap is the floor."""
    low, high = (LOW, HIGH) if config.coding == 'gap' else (-1.0, 1.0)
    share = (values - low) / (high - low)
    return (np.maximum(share, 0) * config.height_m).astype(np.float32)


def depth_at_height(
    frame: DepthFrame, parts_bin: Bin, heights: NDArray[np.floating]
) -> NDArray[np.float32]:
    """(..., H, W) metres above the floor -> (..., H, W) depth in metres along every ray."""
    slope = pixel_rays(frame.intrinsics) @ np.asarray(parts_bin.floor.normal, np.float32)  # < 0
    return ((heights - np.float32(parts_bin.floor.offset)) / slope).astype(np.float32)


def floor_homography(frame: DepthFrame, parts_bin: Bin, config: CropConfig) -> NDArray[np.float64]:
    """(3, 3): the crop's pixels -> the frame's, by way of the square on the bin's floor.

    A plane seen by a camera is a homography, and the same one as turning the camera to look
    straight down: nothing is hidden or uncovered by going there and back.
    """
    centre, (x_axis, y_axis) = floor_square(frame, parts_bin)
    pixel = config.side_m / config.size
    middle = (config.size - 1) / 2
    onto_floor = np.stack(
        [pixel * x_axis, pixel * y_axis, centre - pixel * middle * (x_axis + y_axis)], axis=1
    )
    return frame.intrinsics.matrix @ onto_floor


def floor_square(
    frame: DepthFrame, parts_bin: Bin
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The middle of the bin's floor (3,) and the directions of its sides (2, 3), camera frame."""
    _, axes = floor_frame(parts_bin.floor)
    if parts_bin.corners is not None:
        corners = np.asarray(parts_bin.corners)
        side = corners[1] - corners[0]
        angle = np.arctan2(side @ axes[1], side @ axes[0])
        angle -= np.pi / 2 * np.round(angle / (np.pi / 2))  # the image stays as it is seen
        c, s = np.cos(angle), np.sin(angle)
        return corners.mean(axis=0), np.array([[c, s], [-s, c]]) @ axes
    x, y, width, height = parts_bin.region or (
        0,
        0,
        frame.intrinsics.width,
        frame.intrinsics.height,
    )
    middle = np.array([x + (width - 1) / 2, y + (height - 1) / 2, 1.0])
    ray = np.linalg.solve(frame.intrinsics.matrix, middle)
    return -parts_bin.floor.offset / (ray @ np.asarray(parts_bin.floor.normal)) * ray, axes


def floor_side(frame: DepthFrame, parts_bin: Bin) -> float:
    """The longer side of the bin's floor in metres."""
    if parts_bin.corners is not None:
        a, b, c, _ = np.asarray(parts_bin.corners)
        return float(max(np.linalg.norm(b - a), np.linalg.norm(c - b)))
    _, _, width, height = parts_bin.region or (
        0,
        0,
        frame.intrinsics.width,
        frame.intrinsics.height,
    )
    return max(width, height) * parts_bin.floor.offset / frame.intrinsics.fx
