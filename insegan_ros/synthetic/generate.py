"""Seeds -> settled scenes: a bin, what is dropped into it, and a camera's picture of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from insegan_ros.camera import Plane
from insegan_ros.data.cad import Units
from insegan_ros.depth_camera import D435
from insegan_ros.synthetic.bin_world import BinSpec, BinWorld, SceneRejectedError, fill_validly
from insegan_ros.synthetic.camera_presets import as_measured, errors_of, intrinsics_of
from insegan_ros.synthetic.parts import PARTS, Part, make_part
from insegan_ros.synthetic.raycast import Camera, Raycaster, looking_down
from insegan_ros.types import DepthFrame, Intrinsics

# Inner width of the bin in part lengths: how much the parts of a 5-part drop occlude each other.
BIN_WIDTHS = {
    'nut': 1.8,
    'stopper': 1.45,
    'cylinder': 1.55,
    'bolt': 1.8,
    'cone': 1.4,
    'connector': 1.5,
    'five_pin': 1.8,
    'obj_01': 1.6,
    'obj_05': 1.6,
    'obj_14': 1.9,
    'elbow': 1.8,
    'block': 1.6,
}
MESH_WIDTH = 1.65  # the same for a part of a file, of which nothing is known
MAX_ATTEMPTS = 50  # drops before a configuration counts as impossible


def tight_width(part: str) -> float:
    """Inner width of a bin, in part lengths, in which five of the part occlude each other.

    Raises:
        ValueError: a part for which no width was chosen.
    """
    if part not in BIN_WIDTHS:
        raise ValueError(
            f'no bin width is known for the part {part!r}; give one, or add the part to '
            f'BIN_WIDTHS, which knows {", ".join(BIN_WIDTHS)}'
        )
    return BIN_WIDTHS[part]


def kinds_named(part: str) -> tuple[str, ...]:
    """The parts in a bin of `part`: 'nut', or 'nut+bolt' for a bin that holds both.

    Raises:
        ValueError: a part that cannot be simulated, or one that is named twice.
    """
    kinds = tuple(part.split('+'))
    for kind in kinds:
        if kind not in PARTS:
            raise ValueError(f'unknown part {kind!r}; valid: {", ".join(PARTS)}')
    if len(set(kinds)) < len(kinds):
        raise ValueError(f'{part!r} names a part twice; name each kind once')
    return kinds


def make_bin(part: str, width_m: float | None = None) -> tuple[list[Part], BinSpec]:
    """The parts of `kinds_named` and their bin; None: the widest that is tight for one of them.

    Raises:
        ValueError: a part that cannot be simulated, or for which no width was chosen.
    """
    names = kinds_named(part)
    parts = [make_part(name) for name in names]
    longest = max(parts, key=lambda one: one.length)
    if width_m is None:
        width_m = max(tight_width(name) * one.length for name, one in zip(names, parts))
    return parts, BinSpec.for_part(longest, width_m / longest.length)


@dataclass(frozen=True)
class SceneConfig:
    """All that a scene depends on besides its seed."""

    part: str = 'nut'  # or several: 'nut+bolt'; of a mesh, what it is called
    instances: tuple[int, int] = (5, 5)  # least and most parts, both included
    noise: str = 'd435'  # none, d435, d435_strong, or a camera's preset, by name or file
    # crop: the bin's window of a D435's image; d435 or a preset: the camera's whole image
    camera: str = 'crop'
    size: int = 224  # px, side of the crop
    camera_height: float = 0.55  # m above the floor
    height_jitter: float = 0.002  # m, and as much sideways: no mount is perfectly stiff
    tilt_degrees: float = 0.0
    bin_width: float | None = None  # lengths of the longest part; None: BIN_WIDTHS, MESH_WIDTH
    mesh: str | None = None  # a CAD file: its part instead of those that come with the package
    units: Units | None = None  # of the mesh; None: metres where its format says so, else mm

    def __post_init__(self) -> None:
        low, high = self.instances
        _ = self.kinds  # they say what is wrong with them
        if not 0 <= low <= high <= 100:
            raise ValueError(f'instances {low}-{high}: 0 <= least <= most <= 100 is expected')
        errors_of(self.noise)  # they say what is wrong
        _ = self.intrinsics
        if not 16 <= self.size <= D435.height:
            raise ValueError(f'size {self.size}: 16 to {D435.height} px is expected')
        if not 0 <= self.tilt_degrees <= 45:
            raise ValueError(f'tilt {self.tilt_degrees}: 0 to 45 degrees is expected')
        if not 0.2 <= self.camera_height <= 2:
            raise ValueError(f'camera height {self.camera_height}: 0.2 to 2 m is expected')
        if self.bin_width is not None and not 1.2 <= self.bin_width <= 20:
            raise ValueError(f'bin width {self.bin_width}: 1.2 to 20 part lengths is expected')
        spec, parts = self.bin_spec, self.parts
        volume = max(float(part.mesh.convex_hull.volume) for part in parts)
        filled = high * volume / (spec.width**2 * spec.wall_height)
        if filled > 0.6:  # looser than parts pack at random
            raise ValueError(
                f'{high} parts fill {filled:.0%} of a bin {spec.width * 1e3:.0f} mm wide; '
                'use a wider bin or fewer instances'
            )

    @property
    def intrinsics(self) -> Intrinsics:
        """Of the image that a scene has: the crop, or the whole frame."""
        if self.camera != 'crop':
            return intrinsics_of(self.camera)
        x, y = (D435.width - self.size) // 2, (D435.height - self.size) // 2
        return D435.crop(x, y, self.size, height=self.size)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The names of the kinds of part."""
        return kinds_named(self.part) if self.mesh is None else (self.part,)

    @property
    def parts(self) -> list[Part]:
        """One a kind."""
        if self.mesh is not None:
            from insegan_ros.synthetic.convex import part_of_file

            return [part_of_file(self.mesh, self.units)]
        return [make_part(kind) for kind in self.kinds]

    @property
    def bin_spec(self) -> BinSpec:
        """The bin of these scenes."""
        if self.mesh is not None:
            return BinSpec.for_part(self.parts[0], self.bin_width or MESH_WIDTH)
        longest = max(part.length for part in self.parts)
        width_m = None if self.bin_width is None else self.bin_width * longest
        return make_bin(self.part, width_m)[1]


@dataclass(frozen=True)
class SimulatedScene:
    """One frame and the truth about it."""

    frame: DepthFrame  # as the camera measured it
    labels: NDArray[np.uint8]  # (H, W) true ids of the visible surfaces, 0 background
    poses: NDArray[np.float32]  # (N, 4, 4) camera_T_part; labels k is poses[k - 1]
    kinds: NDArray[np.int64]  # (N,) 1, 2, ...: in the order of SceneConfig.part
    floor: Plane  # the bin's floor in the camera's optical frame
    region: tuple[int, int, int, int]  # x, y, width, height: window around the bin's floor, px
    true_depth_m: NDArray[np.float32]  # (H, W) without noise
    visible_fraction: NDArray[np.float32]  # (N,) of each part's outline, in [0, 1]
    attempt: int  # drops rejected before this one


def make_scene(config: SceneConfig, seed: int | tuple[int, ...]) -> SimulatedScene:
    """Drop, settle and photograph; deterministic in both arguments.

    Raises:
        ValueError: the parts do not fit the bin, whatever the drop.
    """
    entropy = [seed] if isinstance(seed, int) else list(seed)
    world, raycaster = _simulators(config)
    low, high = config.instances

    def fill(rng: np.random.Generator) -> None:
        world.fill(int(rng.integers(low, high + 1)), rng)

    try:
        rng, attempt = fill_validly(fill, entropy, MAX_ATTEMPTS)
    except SceneRejectedError as error:
        raise ValueError(
            f'no valid scene of {config.part} in {MAX_ATTEMPTS} drops ({error}); '
            'use a wider bin or fewer instances'
        ) from None
    return _photograph(config, world, raycaster, rng=rng, attempt=attempt)


@lru_cache(maxsize=4)
def _simulators(config: SceneConfig) -> tuple[BinWorld, Raycaster]:
    parts, spec = config.parts, config.bin_spec
    world = BinWorld(parts, spec, capacity=config.instances[1])
    return world, Raycaster([part.mesh for part in parts], spec)


def _photograph(
    config: SceneConfig,
    world: BinWorld,
    raycaster: Raycaster,
    *,
    rng: np.random.Generator,
    attempt: int,
) -> SimulatedScene:
    jitter = config.height_jitter
    dx, dy, dz = rng.uniform(-jitter, jitter, 3)
    pose = looking_down(config.camera_height + dz, config.tilt_degrees, (dx, dy))
    camera = Camera(config.intrinsics, pose)
    kinds = world.kinds
    seen = raycaster.photograph(world.poses(), camera, kinds)
    depth = as_measured(seen.depth_m, camera.intrinsics, rng, noise=config.noise)
    return SimulatedScene(
        frame=DepthFrame(depth, camera.intrinsics),
        labels=seen.labels,
        poses=seen.poses,
        kinds=kinds + 1,
        floor=floor_plane(camera),
        region=_region(camera, world.bin_spec),
        true_depth_m=seen.depth_m,
        visible_fraction=seen.visible_fraction,
        attempt=attempt,
    )


def floor_plane(camera: Camera) -> Plane:
    """The world's plane z = 0 in the camera's optical frame."""
    normal = camera.camera_T_world[:3, 2]
    x, y, z = (round(float(value), 9) for value in normal)
    return Plane((x, y, z), round(float(camera.world_T_camera[2, 3]), 9))


def _region(camera: Camera, spec: BinSpec) -> tuple[int, int, int, int]:
    half = spec.width / 2
    corners = np.array([[x, y, 0, 1] for x in (-half, half) for y in (-half, half)])
    points = (camera.camera_T_world @ corners.T)[:3]
    u, v, w = camera.intrinsics.matrix @ points
    size = (camera.intrinsics.width - 1, camera.intrinsics.height - 1)
    left, right = np.clip([(u / w).min(), (u / w).max()], 0, size[0])
    top, bottom = np.clip([(v / w).min(), (v / w).max()], 0, size[1])
    x, y = int(np.ceil(left)), int(np.ceil(top))
    return x, y, int(right) - x + 1, int(bottom) - y + 1
