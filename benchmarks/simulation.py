"""How fast the simulated bin is, and what it looks like.

python benchmarks/simulation.py                   times of every part, as a table
python benchmarks/simulation.py --pictures docs   also docs/parts.png, scenes.png, d435_noise.png
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import trimesh
from numpy.typing import NDArray

from insegan_ros.depth_camera import D435, D435_NOISE, StereoNoise
from insegan_ros.synthetic.bin_world import BinWorld
from insegan_ros.synthetic.d435 import add_noise
from insegan_ros.synthetic.generate import SceneConfig, make_scene
from insegan_ros.synthetic.parts import PARTS, make_part
from insegan_ros.synthetic.raycast import Camera, Raycaster, looking_down
from insegan_ros.types import Intrinsics

matplotlib.use('Agg')
import matplotlib.pyplot as plt

WINDOW = SceneConfig().intrinsics


def milliseconds(call: Callable[[], object], repeat: int) -> float:
    """Median wall time of a call."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return float(np.median(times) * 1e3)


def measure(repeat: int) -> None:
    print(f'median of {repeat}, ms on one core; peer: one trimesh scene cast as a whole\n')
    print('| part | 5-part drop | x real time | 224x224 | peer | x | 848x480 | + noise |')
    print('|---|---|---|---|---|---|---|---|')
    for name in PARTS:
        part, spec = make_part(name), SceneConfig(part=name).bin_spec
        world, raycaster = BinWorld(part, spec, capacity=5), Raycaster(part.mesh, spec)
        rng = np.random.default_rng(0)
        simulated = []

        def drop(world=world, rng=rng, simulated=simulated) -> None:
            world.drop(5, rng)
            world.settle()
            simulated.append(world.seconds)

        fall = milliseconds(drop, repeat)
        poses = world.poses()
        small = Camera(WINDOW, looking_down(0.55))
        whole = Camera(D435, looking_down(0.55))
        ours = milliseconds(lambda: raycaster.render(poses, small), repeat)  # noqa: B023
        peer = milliseconds(lambda: cast_by_trimesh(part.mesh, poses, small), 3)  # noqa: B023
        large = milliseconds(lambda: raycaster.render(poses, whole), repeat)  # noqa: B023
        depth = raycaster.render(poses, whole)[0]
        noise = milliseconds(lambda: add_noise(depth, D435, rng, noise=D435_NOISE), repeat)  # noqa: B023
        speed = np.median(simulated) * 1e3 / fall
        print(
            f'| {name} | {fall:.0f} | {speed:.0f} | {ours:.1f} | {peer:.0f} | {peer / ours:.0f} '
            f'| {large:.1f} | {noise:.1f} |'
        )


def cast_by_trimesh(
    mesh: trimesh.Trimesh, poses: NDArray[np.float64], camera: Camera
) -> NDArray[np.float64]:
    """The same image by the stock way: build the scene, cast every pixel."""
    scene = trimesh.util.concatenate([mesh.copy().apply_transform(pose) for pose in poses])
    v, u = np.mgrid[: camera.intrinsics.height, : camera.intrinsics.width]
    pixels = np.stack([u, v, np.ones_like(u)], axis=-1).reshape(-1, 3)
    rays = pixels @ np.linalg.inv(camera.intrinsics.matrix).T @ camera.world_T_camera[:3, :3].T
    origins = np.tile(camera.world_T_camera[:3, 3], (len(rays), 1))
    where, _, _ = scene.ray.intersects_location(origins, rays, multiple_hits=False)
    return where


def shaded(depth: NDArray[np.float32], intrinsics: Intrinsics) -> NDArray[np.float64]:
    """(H, W) brightness of a depth image lit from the upper left."""
    v, u = np.mgrid[: intrinsics.height, : intrinsics.width]
    x, y = (u - intrinsics.cx) / intrinsics.fx * depth, (v - intrinsics.cy) / intrinsics.fy * depth
    points = np.stack([x, y, depth], axis=-1).astype(np.float64)
    normal = np.cross(np.gradient(points, axis=1), np.gradient(points, axis=0))
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True) + 1e-12
    light = np.array([-0.45, -0.55, -0.7])
    return np.clip(0.25 + 0.75 * np.abs(normal @ light), 0, 1)


def draw_parts(path: Path) -> None:
    intrinsics = Intrinsics(width=260, height=260, fx=1180, fy=1180, cx=129.5, cy=129.5)
    camera = Camera(intrinsics, looking_down(0.42))
    figure, axes = plt.subplots(3, len(PARTS), figsize=(1.25 * len(PARTS), 4.1))
    for column, name in zip(axes.T, PARTS, strict=True):
        part = make_part(name)
        raycaster = Raycaster(part.mesh)
        pieces = [Raycaster(piece) for piece in part.convex_pieces]
        for axis, (lean, turn) in zip(column[:2], ((50, 30), (140, 60)), strict=True):
            pose = trimesh.transformations.euler_matrix(np.radians(lean), 0, np.radians(turn))
            axis.imshow(
                shaded(raycaster.render_alone(pose, camera), intrinsics), 'gray', vmin=0, vmax=1
            )
        depths = np.array([piece.render_alone(pose, camera) for piece in pieces])
        depths[np.isnan(depths)] = np.inf
        nearest = np.where(np.isinf(depths.min(axis=0)), np.nan, depths.argmin(axis=0) % 10)
        column[2].imshow(nearest, 'tab10', vmin=0, vmax=9, interpolation='nearest')
        column[0].set_title(name, fontsize=9)
        size = ' x '.join(f'{side:.0f}' for side in part.mesh.extents * 1e3)
        column[2].set_xlabel(f'{size} mm', fontsize=7)
    finish(figure, axes, path, dpi=110)


def draw_scenes(path: Path) -> None:
    columns = 2
    figure, axes = plt.subplots(
        len(PARTS), 3 * columns, figsize=(1.15 * 3 * columns, 1.15 * len(PARTS))
    )
    for row, name in zip(axes, PARTS, strict=True):
        row[0].set_ylabel(name, fontsize=8)
        for k in range(columns):
            scene = make_scene(SceneConfig(part=name), k)
            x, y, width, height = scene.region
            window = np.s_[y - 8 : y + height + 8, x - 8 : x + width + 8]
            top = scene.floor.offset
            for axis, depth in zip(
                row[3 * k :], (scene.true_depth_m, scene.frame.depth_m), strict=False
            ):
                axis.imshow(top - depth[window], 'gray', vmin=-0.01, vmax=0.09)
                axis.set_facecolor('#c22')
            labels = np.where(scene.labels, (scene.labels - 1.0) % 10, np.nan)
            row[3 * k + 2].imshow(labels[window], 'tab10', vmin=0, vmax=9, interpolation='nearest')
    finish(figure, axes, path, dpi=65)


def draw_noise(path: Path) -> None:
    """Measured axial noise of flat walls against z^2 s / (f B)."""
    rng = np.random.default_rng(0)
    window = D435.crop(200, 100, 400, height=300)
    slope = np.linspace(-0.003, 0.003, window.width, dtype=np.float32)
    distances = np.arange(0.25, 2.01, 0.05)
    noise = StereoNoise()
    f_b = window.fx * noise.baseline
    figure, axis = plt.subplots(figsize=(5, 3.2))
    for label, rounding in (('rounded to 1 mm', noise.depth_step), ('not rounded', 1e-6)):
        model = StereoNoise(depth_step=rounding)
        measured = []
        for z in distances:
            wall = np.full((window.height, window.width), z, np.float32) + slope
            measured.append(np.nanstd(add_noise(wall, window, rng, noise=model) - wall) * 1e3)
        axis.plot(distances, measured, '.', label=f'simulated, {label}')
    curve = distances**2 * noise.disparity_sigma / f_b * 1e3
    axis.plot(distances, curve, 'k-', lw=0.8, label=r'$z^2 s/(fB)$, s = 0.08 px')
    axis.set(xlabel='z (m)', ylabel=r'$\sigma_z$ (mm)', xlim=(0.2, 2.05), ylim=0)
    axis.legend(fontsize=8)
    axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def finish(figure: plt.Figure, axes: NDArray[np.object_], path: Path, dpi: int) -> None:
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    figure.tight_layout(pad=0.3)
    figure.savefig(path, dpi=dpi)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--repeat', type=int, default=20)
    parser.add_argument('--pictures', type=Path, help='folder for pictures')
    args = parser.parse_args()
    measure(args.repeat)
    if args.pictures:
        draw_parts(args.pictures / 'parts.png')
        draw_scenes(args.pictures / 'scenes.png')
        draw_noise(args.pictures / 'd435_noise.png')


if __name__ == '__main__':
    main()
