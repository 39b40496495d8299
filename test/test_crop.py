"""The square of the bin's floor, and back."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from insegan_ros.camera import Plane, pixel_rays
from insegan_ros.crop import BinCrop, CropConfig, depth_at_height, floor_side
from insegan_ros.parts_bin import Bin
from insegan_ros.types import DepthFrame, Intrinsics

CAMERA = Intrinsics(240, 200, 300.0, 300.0, 119.5, 99.5)
CROP = CropConfig(side_m=0.2, height_m=0.05)
DISTANCE = 0.5  # m, camera to floor


def scene(tilt: float = 0.0, turn: float = 0.0) -> tuple[DepthFrame, Bin]:
    """A floor with a plateau 20 mm high over x, y in [0.02, 0.06] m of the bin's own axes."""
    rotation = Rotation.from_euler('xz', [tilt, turn], degrees=True).as_matrix()
    normal = rotation @ [0, 0, -1.0]
    floor = Plane(tuple(normal.tolist()), DISTANCE)
    x_axis, y_axis = rotation @ [1.0, 0, 0], rotation @ [0, 1.0, 0]
    ray = pixel_rays(CAMERA).astype(np.float64)
    centre = -DISTANCE * normal
    corners = [centre + a * x_axis + b * y_axis for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    parts_bin = Bin(
        floor, None, tuple(tuple((centre + 0.09 * (c - centre)).tolist()) for c in corners)
    )

    def plane(height: float) -> np.ndarray:
        return (height - DISTANCE) / (ray @ normal)

    top = ray * plane(0.02)[..., None]
    x, y = (top - centre) @ x_axis, (top - centre) @ y_axis
    on_top = (x > 0.02) & (x < 0.06) & (y > 0.02) & (y < 0.06)
    depth = np.where(on_top, plane(0.02), plane(0.0)).astype(np.float32)
    return DepthFrame(depth, CAMERA), parts_bin


@pytest.mark.parametrize(('tilt', 'turn'), [(0, 0), (12, 0), (0, 25), (15, -30)])
def test_heights_land_at_their_place_on_the_floor(tilt: float, turn: float) -> None:
    frame, parts_bin = scene(tilt, turn)
    crop = BinCrop.of(frame, parts_bin, CROP)
    assert crop.image.shape == (64, 64)
    heights = crop.heights(crop.image)
    pixel = CROP.side_m / CROP.size
    rise = DISTANCE / (DISTANCE - 0.02)  # what is higher looks larger from straight above
    low, high = (round(32 + v * rise / pixel) for v in (0.02, 0.06))
    inside = heights[low + 1 : high - 1, low + 1 : high - 1]
    assert inside == pytest.approx(0.02, abs=0.0005)
    heights[low - 2 : high + 2, low - 2 : high + 2] = 0
    assert np.abs(heights).max() < 1e-6


@pytest.mark.parametrize(('tilt', 'turn'), [(0, 0), (12, 20)])
def test_a_mask_goes_back_to_the_pixels_it_came_from(tilt: float, turn: float) -> None:
    frame, parts_bin = scene(tilt, turn)
    crop = BinCrop.of(frame, parts_bin, CROP)
    back = crop.restore(crop.image[None], frame)[0] > -0.6  # half as high
    normal = np.asarray(parts_bin.floor.normal, np.float32)
    true = (pixel_rays(CAMERA) @ normal) * frame.depth_m + DISTANCE > 0.01
    assert (back & true).sum() / (back | true).sum() > 0.9


def test_depth_at_a_height_is_what_the_camera_measures_there() -> None:
    frame, parts_bin = scene(12, 20)
    floor = depth_at_height(frame, parts_bin, np.zeros(frame.depth_m.shape, np.float32))
    assert np.median(np.abs(floor - frame.depth_m)) < 1e-6


def test_what_is_not_measured_and_what_stands_outside_count_as_floor() -> None:
    frame, parts_bin = scene()
    depth = frame.depth_m.copy()
    depth[:20] = 0.4  # a wall beyond the bin's side
    depth[110:120, 60:90] = np.nan
    image = BinCrop.of(DepthFrame(depth, CAMERA), parts_bin, CROP).image
    assert np.isfinite(image).all()
    assert image[:8].max() == -1
    assert image[:, :30].max() == -1


def test_the_side_is_the_bins() -> None:
    frame, parts_bin = scene(10, 30)
    assert floor_side(frame, parts_bin) == pytest.approx(0.18, rel=1e-6)
    half = Bin(Plane((0.0, 0.0, -1.0), 0.6), (10, 20, 100, 80))
    assert floor_side(frame, half) == pytest.approx(100 * 0.6 / 300)


def test_a_crop_without_a_size_is_refused() -> None:
    with pytest.raises(ValueError, match='positive'):
        CropConfig(0.0, 0.05)
