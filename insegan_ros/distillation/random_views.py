"""Pictures of filled bins as any camera may take them, seen straight down as the network sees.

A camera that is tilted and whose image is then turned to look straight down (`TopDownView`) sees
what one at the same place that looks down sees far from below itself: so tilts are shifts here.
All parts are a decimetre long; what is near or far, large or small, is the camera's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import trimesh
from numpy.typing import NDArray

from insegan_ros.data.depth_messages import metres
from insegan_ros.data.store import to_units
from insegan_ros.depth_camera import D435
from insegan_ros.distillation.examples import Piles, about_d435
from insegan_ros.distillation.network import NetworkConfig
from insegan_ros.synthetic.bin_world import BinSpec
from insegan_ros.synthetic.d435 import add_noise
from insegan_ros.synthetic.depth_noise import drawn, measure
from insegan_ros.synthetic.raycast import Camera, Raycaster, looking_down
from insegan_ros.types import Intrinsics

LENGTH_M = 0.1
DEPTH_SCALE = 0.00005  # metres a unit
SEEN_FROM_M = 0.55  # by a D435; parts a decimetre long are seen from further, and scaled
FLOOR_ERROR_M = 0.0013  # of a decimetre's part, standard deviation
THICKNESS = 0.35  # of the length: what candidates' distance is measured by, whatever the part


@dataclass(frozen=True)
class ViewConfig:
    """What is varied between pictures."""

    size: int = 128  # px, side of the image
    told_px: tuple[float, float] = (40.0, 56.0)  # what the part's length is said to be
    true: tuple[float, float] = (0.76, 1.3)  # its longest side, of what it is said to be
    focal_px: tuple[float, float] = (90.0, 900.0)  # far cameras see without perspective
    tilt_degrees: float = 35.0
    no_walls: float = 0.25  # share of bins whose walls are not seen
    masked: float = 0.2  # share of images without what lies around the bin
    aside: float = 0.6  # share of images whose middle is near one of the parts
    noiseless: float = 0.04
    d435: bool = False  # under a D435 that sees parts of few centimetres, else any camera

    @property
    def straight(self) -> ViewConfig:
        """Seen straight down by a D435, the length given about right."""
        low, high = self.told_px
        return replace(
            self,
            told_px=(0.9 * low, 1.04 * high),
            true=(0.97, 1.03),
            focal_px=(D435.fx - 1, D435.fx + 1),
            tilt_degrees=0.0,
            no_walls=0.15,
            masked=0.0,
            aside=0.3,
            d435=True,
        )


@dataclass(frozen=True)
class RandomView(Piles):
    """One picture, with what its camera may be like."""

    config: ViewConfig
    length_m: float = LENGTH_M  # of the part; depths are kept as if it were LENGTH_M long

    @property
    def scale(self) -> float:
        """What a metre of the picture is in metres of the part."""
        return self.length_m / LENGTH_M

    def heights(self, index: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """(H, W) above the floor as a camera drawn at random measures it."""
        depth, distance = self.depth[index], float(self.camera_height[index]) / self.scale
        if self.config.d435:
            nearer = np.float32(SEEN_FROM_M / distance)
            depth = add_noise(depth * nearer, self.intrinsics, rng, noise=about_d435(rng)) / nearer
            level = np.float32(distance + rng.normal(0, FLOOR_ERROR_M))
            return ((level - depth) * np.float32(self.scale)).astype(np.float32)
        if rng.random() >= self.config.noiseless:
            noise = drawn(rng, LENGTH_M, distance)
            coarse = float(rng.choice([1.0, 1.0, rng.uniform(1, 3)]))
            depth = _coarsened(measure(depth, self.intrinsics, rng, noise=noise), coarse)
        # the floor is found only so well
        level, *slope = rng.normal(0, (0.012, 0.006, 0.006)) * LENGTH_M
        v, u = np.mgrid[: depth.shape[0], : depth.shape[1]] / np.float32(depth.shape[0] / 2) - 1
        heights = np.float32(distance + level) + slope[0] * u + slope[1] * v - depth
        return (heights * np.float32(self.scale)).astype(np.float32)


def _coarsened(depth: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    """As a camera with larger pixels sees it, enlarged by the nearest of them."""
    if factor <= 1.05:
        return depth
    height, width = depth.shape
    small = (max(round(width / factor), 8), max(round(height / factor), 8))
    coarse = cv2.resize(depth, small, interpolation=cv2.INTER_NEAREST)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST))


@dataclass(frozen=True)
class Picture:
    """What is stored of a view."""

    depth: NDArray[np.uint16]  # (H, W) in DEPTH_SCALE, no noise
    labels: NDArray[np.uint8]
    centres: NDArray[np.float32]  # (N, 3) image x, y in px, height above the floor in m
    visible: NDArray[np.float32]  # (N,)
    camera: tuple[float, ...]  # focal length, principal point (px), height above the floor (m)
    told_m: float  # what the part's length is said to be


def photograph(
    mesh: trimesh.Trimesh,
    poses: NDArray[np.floating],
    width_m: float,
    *,
    rng: np.random.Generator,
    config: ViewConfig,
) -> Picture:
    """One picture of (N, 4, 4) parts at rest in a bin."""
    told_px = float(np.exp(rng.uniform(*np.log(config.told_px))))
    true = float(np.exp(rng.triangular(np.log(config.true[0]), 0.0, np.log(config.true[1]))))
    focal = float(np.exp(rng.uniform(*np.log(config.focal_px))))
    pixel = LENGTH_M / (told_px * true)
    height = focal * pixel
    tallest = float(poses[:, 2, 3].max(initial=0.0)) + LENGTH_M
    if height < 2 * tallest:  # no camera is that near
        height = 2 * tallest
        focal = height / pixel
    camera = _camera(poses, height, focal, rng=rng, config=config)
    walls = _walls(width_m, rng) if rng.random() >= config.no_walls else None
    seen = Raycaster(mesh, walls).photograph(poses, camera)
    depth, labels = seen.depth_m, seen.labels
    if walls is not None and rng.random() < config.masked:
        depth[~_inside(depth, camera, width_m / 2 + walls.wall_thickness)] = np.nan
        labels[np.isnan(depth)] = 0
    x, y, z = (camera.camera_T_world @ poses)[:, :3, 3].T
    k = camera.intrinsics
    centres = np.stack([k.fx * x / z + k.cx, k.fy * y / z + k.cy, height - z], axis=1)
    return Picture(
        to_units(depth, DEPTH_SCALE),
        labels,
        centres.astype(np.float32),
        seen.visible_fraction,
        (focal, k.cx, k.cy, height),
        LENGTH_M / true,
    )


def _camera(
    poses: NDArray[np.floating],
    height: float,
    focal: float,
    *,
    rng: np.random.Generator,
    config: ViewConfig,
) -> Camera:
    """One that looks down, its window turned and shifted about the bin."""
    tilt = np.radians(config.tilt_degrees * rng.choice([0.0, rng.random()]))
    towards = rng.uniform(0, 2 * np.pi)
    off = height * np.tan(tilt) * np.array([np.cos(towards), np.sin(towards)])
    turn = rng.uniform(0, 2 * np.pi) if rng.random() < 0.3 else rng.normal(0, np.radians(5))
    middle = (config.size - 1) / 2
    cx, cy = middle - focal * off / height
    intrinsics = Intrinsics(config.size, config.size, focal, focal, float(cx), float(cy))
    seen: NDArray[np.float64] = np.zeros(2)  # what the image's middle shows
    if rng.random() < config.aside:  # somewhere at one of the parts
        seen = poses[rng.integers(len(poses)), :2, 3] + rng.normal(0, 0.5 * LENGTH_M, 2)
    c, s = np.cos(turn), np.sin(turn)
    seen = np.array([[c, s], [-s, c]]) @ seen
    x, y = off[0] - seen[0], off[1] + seen[1]  # of the bin's centre, along the image
    about_bin = trimesh.transformations.rotation_matrix(turn, (0, 0, 1))
    return Camera(intrinsics, about_bin @ looking_down(height, 0.0, (-x, y)))


def _walls(width_m: float, rng: np.random.Generator) -> BinSpec:
    """As low as a rim or far above the parts, sheet or thick, upright or leaning outwards."""
    height = LENGTH_M * float(np.exp(rng.uniform(np.log(0.15), np.log(2.5))))
    lean = float(rng.choice([0.0, rng.uniform(0, 0.4)]))
    return BinSpec(width_m, height, LENGTH_M * float(rng.uniform(0.02, 0.4)), lean)


def _inside(depth: NDArray[np.float32], camera: Camera, half: float) -> NDArray[np.bool_]:
    """(H, W) what lies within so many metres of the bin's middle, along its sides."""
    k = camera.intrinsics
    v, u = np.mgrid[: k.height, : k.width]
    points = np.stack([(u - k.cx) / k.fx * depth, (v - k.cy) / k.fy * depth, depth], axis=-1)
    world = points @ camera.world_T_camera[:3, :3].T + camera.world_T_camera[:3, 3]
    with np.errstate(invalid='ignore'):
        return np.abs(world[..., :2]).max(axis=-1) < half


def view_of(
    picture: Picture, config: ViewConfig, length_m: float = LENGTH_M
) -> tuple[RandomView, NetworkConfig]:
    """What the network learns from, and the scale that it is given, of a part `length_m` long."""
    focal, cx, cy, height = picture.camera
    size, scale = picture.labels.shape[0], length_m / LENGTH_M
    view = RandomView(
        metres(picture.depth, DEPTH_SCALE)[None],
        picture.labels[None],
        [picture.centres * np.array([1, 1, scale], np.float32)],
        [picture.visible],
        [np.ones(len(picture.visible), np.int64)],
        np.array([height * scale], np.float32),
        Intrinsics(size, size, focal, focal, cx, cy),
        config,
        length_m,
    )
    told_m = picture.told_m * scale
    return view, NetworkConfig(told_m, THICKNESS * told_m, height * scale / focal)
