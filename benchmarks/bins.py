"""Where the bin is, in simulated scenes of many kinds, and what is taken for a part that is none.

Bins of sheet metal, totes with drafted walls and rounded edges, tables, conveyors, filled
sparsely or to the brim, near and far, tilted. Of the bin nothing is given, of the part its length.

    python benchmarks/bins.py                      # all scenes, 6 frames of each, 8 seeds
    python benchmarks/bins.py --scenes tote --frames 10
    python benchmarks/bins.py --no-segment         # floors alone

*wrong floor*: of all frames and seeds, how often the plane is off by more than 3 degrees or
10 mm at the parts; *differs*: of the frames, in how many some seed gives another plane than the
others; *refused*: no floor is found, in words; *walls*: share of the answers that say where the
bin's walls are; *parts*: share of the parts' pixels that are taken for parts, and *others*: of
what is taken for parts the share that is none. By `any`, given the length: *missed* are parts at
least half visible that no instance fits by half, *of walls* instances a frame most of whose
pixels show walls or ground. *length*: what a frame alone tells `any` that the part's length is, as
a share of the true one: least, median, most.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import trimesh
from numpy.typing import NDArray

from insegan_ros.bin_finding import find_bin
from insegan_ros.camera import Plane, height_map
from insegan_ros.evaluation.metrics import iou_matrix
from insegan_ros.floor import FloorNotFoundError
from insegan_ros.inference import model_card
from insegan_ros.parts_bin import Bin, foreground
from insegan_ros.synthetic.bin_world import BinSpec, BinWorld, SceneRejectedError, fill_validly
from insegan_ros.synthetic.camera_presets import as_measured, intrinsics_of
from insegan_ros.synthetic.generate import floor_plane
from insegan_ros.synthetic.parts import Part, make_part
from insegan_ros.synthetic.raycast import Camera, Raycaster, looking_down
from insegan_ros.types import DepthFrame

OFF_DEGREES, OFF_M = 3.0, 0.01  # beyond which a floor is wrong
ROOM_M = 0.75  # how far the ground lies below a table


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One kind of scene."""

    part: str = 'elbow'
    count: tuple[int, int] = (5, 9)
    width: float = 2.9  # of the bin, part lengths
    walls: str = 'sheet'  # sheet, tote, none, table, conveyor
    height_m: float = 0.55  # of the camera
    tilt: float = 0.0  # degrees
    camera: str = 'd435'


TOTE = Setting(walls='tote', width=3.2, camera='structured_light', height_m=0.6)
FULL = Setting(count=(20, 20), width=2.6)
SETTINGS = {
    'near, wide': Setting(height_m=0.37, tilt=20.0),
    **{f'sheet, {tilt:.0f} deg': Setting(tilt=tilt) for tilt in (0.0, 20.0, 35.0)},
    **{
        f'tight, {tilt:.0f} deg': Setting(count=(5, 5), width=1.8, tilt=tilt)
        for tilt in (0.0, 15.0, 30.0)
    },
    **{f'tote, {tilt:.0f} deg': replace(TOTE, tilt=tilt) for tilt in (0.0, 20.0, 35.0)},
    'tote of pins, 35 deg': replace(TOTE, part='five_pin', count=(20, 20), tilt=35.0),
    'full tote, 20 deg': replace(TOTE, count=(24, 24), tilt=20.0, height_m=0.45),
    'full tote, 35 deg': replace(TOTE, count=(24, 24), tilt=35.0, height_m=0.45),
    'full, 0 deg': FULL,
    'full, 20 deg': replace(FULL, tilt=20.0),
    'floor alone, 20 deg': Setting(walls='none', tilt=20.0),
    'table, 20 deg': Setting(walls='table', tilt=20.0),
    'conveyor, 20 deg': Setting(walls='conveyor', tilt=20.0),
    'one part, 20 deg': Setting(count=(1, 1), tilt=20.0),
    'beyond support, 50 deg': Setting(tilt=50.0),
}


@dataclass(frozen=True)
class Scene:
    """A frame and the truth about it."""

    frame: DepthFrame
    labels: NDArray[np.uint8]  # (H, W)
    floor: Plane
    visible: NDArray[np.float32]  # (N,)
    part_length_m: float


def tote(half_m: float, height_m: float, *, draft: float = 0.14) -> trimesh.Trimesh:
    """A moulded tote on z = 0: walls that lean outwards, all edges rounded, a flat rim.

    Args:
        half_m: half the width of the flat floor.
        draft: metres outwards for each upwards.
    """
    fillet = 0.016  # between floor and walls
    angles = np.linspace(0, np.arctan(1 / draft), 7)
    profile = [(fillet * np.sin(a), fillet * (1 - np.cos(a))) for a in angles]
    out = profile[-1][0] + draft * (height_m - profile[-1][1])
    profile += [(out, height_m), (out + 0.018, height_m), (out + 0.018, height_m - 0.02)]
    turns = np.linspace(0, np.pi / 2, 6)
    corner = 0.02
    rings = []
    for outwards, z in profile:
        ring = [
            (
                sx * (half_m - corner) + (corner + outwards) * np.cos(t + quarter),
                sy * (half_m - corner) + (corner + outwards) * np.sin(t + quarter),
                z,
            )
            for quarter, (sx, sy) in zip(
                np.arange(4) * np.pi / 2, ((1, 1), (-1, 1), (-1, -1), (1, -1)), strict=True
            )
            for t in turns
        ]
        rings.append(ring)
    vertices = np.array(rings).reshape(-1, 3)
    n = len(rings[0])
    k, j = np.mgrid[: len(rings) - 1, :n]
    a, b, c, d = k * n + j, k * n + (j + 1) % n, (k + 1) * n + j, (k + 1) * n + (j + 1) % n
    faces = np.concatenate([np.stack([a, b, d], -1), np.stack([a, d, c], -1)]).reshape(-1, 3)
    return trimesh.Trimesh(vertices, faces, process=False)


def slab(x: float, y: float, z: float, at: tuple[float, float, float]) -> trimesh.Trimesh:
    """A box of these sides, the middle of whose top is at a place."""
    return trimesh.creation.box((x, y, z)).apply_translation((at[0], at[1], at[2] - z / 2))


def around(setting: Setting, spec: BinSpec) -> tuple[trimesh.Trimesh | None, float]:
    """What stands about the parts besides sheet walls, and how far below lies the ground."""
    half = spec.width / 2
    if setting.walls == 'tote':
        return tote(half, spec.wall_height), 0.0
    if setting.walls == 'table':  # its edge runs past the parts
        return slab(1.2, 0.8, 0.03, (0.0, 0.4 - 1.3 * half, 0.0)), ROOM_M
    if setting.walls == 'conveyor':
        rail = [slab(3.0, 0.03, 0.1, (0.0, s * (half + 0.035), 0.02)) for s in (-1, 1)]
        belt = slab(3.0, 2 * half + 0.04, 0.02, (0.0, 0.0, 0.0))
        return trimesh.util.concatenate([belt, *rail]), ROOM_M
    return None, 0.0


def scenes(setting: Setting, frames: int, seed: int = 0) -> Iterator[Scene]:
    """Settled parts, photographed; the same for the same arguments."""
    part = make_part(setting.part)
    spec = BinSpec.for_part(part, setting.width)
    world = BinWorld(part, spec, capacity=setting.count[1])
    stands, ground = around(setting, spec)
    meshes = [part.mesh] if stands is None else [part.mesh, stands]
    raycaster = Raycaster(meshes, spec if setting.walls == 'sheet' else None)
    for k in range(frames):
        yield scene_of(setting, part, world, raycaster=raycaster, ground=ground, entropy=(seed, k))


def scene_of(
    setting: Setting,
    part: Part,
    world: BinWorld,
    *,
    raycaster: Raycaster,
    ground: float,
    entropy: tuple[int, ...],
) -> Scene:
    low, high = setting.count

    def fill(rng: np.random.Generator) -> None:
        world.fill(int(rng.integers(low, high + 1)), rng)

    try:
        rng, _ = fill_validly(fill, entropy, 50)
    except SceneRejectedError:
        raise ValueError(f'{setting}: no valid scene') from None
    tilt = setting.tilt + rng.uniform(-1, 1)
    aside = tuple(rng.uniform(-0.03, 0.03, 2))
    camera = Camera(intrinsics_of(setting.camera), looking_down(setting.height_m, tilt, aside))
    poses, count = world.poses(), world.count
    alone = [np.isfinite(raycaster.render_alone(pose, camera)).sum() for pose in poses]
    kinds = [0] * count
    if setting.walls in ('tote', 'table', 'conveyor'):
        poses, kinds = np.concatenate([poses, np.eye(4)[None]]), [*kinds, 1]
    depth, labels = raycaster.render(poses, camera, np.array([0, 0, -ground]), kinds=kinds)
    labels[labels > count] = 0
    seen = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    measured = as_measured(depth, camera.intrinsics, rng, noise=setting.camera)
    return Scene(
        DepthFrame(measured, camera.intrinsics),
        labels,
        floor_plane(camera),
        (seen / np.maximum(alone, 1)).astype(np.float32),
        part.length,
    )


def is_wrong(found: Plane, scene: Scene) -> bool:
    """Whether a plane is not the floor, where the parts are."""
    angle = np.degrees(np.arccos(np.clip(np.dot(found.normal, scene.floor.normal), -1, 1)))
    parts = scene.labels > 0
    off = height_map(scene.frame, found)[parts] - height_map(scene.frame, scene.floor)[parts]
    return bool(angle > OFF_DEGREES or abs(np.nanmedian(off)) > OFF_M)


def bins_by_seed(scene: Scene, seeds: int) -> list[Bin | None]:
    """None where no floor is found."""
    found: list[Bin | None] = []
    for seed in range(seeds):
        try:
            found.append(find_bin(scene.frame, np.random.default_rng(seed)))
        except FloorNotFoundError:
            found.append(None)
    return found


def shares(scene: Scene, parts_bin: Bin) -> tuple[float, float]:
    """Of the parts' pixels those taken for parts; of what is taken for them, what is none."""
    taken, parts = foreground(scene.frame, parts_bin), scene.labels > 0
    seen = parts & np.isfinite(scene.frame.depth_m)
    return float(taken[seen].mean()), float((taken & ~parts).sum() / max(taken.sum(), 1))


def found_in(scene: Scene, parts_bin: Bin) -> tuple[int, int, int, int]:
    """Parts that are half visible, those missed, instances of walls, other instances."""
    segmenter = model_card.load_segmenter(f'any:{scene.part_length_m}', parts_bin=parts_bin)
    labels = segmenter.segment(scene.frame).labels
    ids, areas = np.unique(labels[labels > 0], return_counts=True)
    on_parts = np.array([(scene.labels[labels == k] > 0).mean() for k in ids])
    walls = int((on_parts < 0.5).sum())
    wanted = scene.visible[np.unique(scene.labels[scene.labels > 0]) - 1] >= 0.5
    matrix = iou_matrix(labels, scene.labels)
    met = matrix.max(axis=0, initial=0)[wanted] >= 0.5
    return int(wanted.sum()), int((~met).sum()), walls, len(areas) - walls


def length_share(scene: Scene, parts_bin: Bin) -> float:
    """The length for which one frame votes, as a share of the true one; NaN: it shows none."""
    told, _ = model_card.length_of_parts([scene.frame], parts_bin)
    return np.nan if told is None else told / scene.part_length_m


def row(name: str, setting: Setting, *, frames: int, seeds: int, segment: bool) -> str:
    wrong = differs = refused = walled = 0
    counts, begun, known_shares = np.zeros(4, int), time.perf_counter(), []
    lengths: list[float] = []
    for scene in scenes(setting, frames):
        found = bins_by_seed(scene, seeds)
        known = [each for each in found if each is not None]
        off = [is_wrong(each.floor, scene) for each in known]
        wrong, refused = wrong + sum(off), refused + len(found) - len(known)
        walled += sum(each.corners is not None for each in known)
        alike = len(known) in (0, seeds) and all(
            not is_wrong(each.floor, replace(scene, floor=known[0].floor)) for each in known
        )
        differs += not alike
        known_shares += [shares(scene, each) for each in known[:1]]
        if segment and known:
            counts += found_in(scene, known[0])
            lengths.append(length_share(scene, known[0]))
    total = frames * seeds
    cells = [
        f'{wrong} of {total}',
        f'{differs} of {frames}',
        f'{refused}',
        f'{walled / total:.2f}',
    ]
    cells += [f'{share:.2f}' for share in np.mean(known_shares or [(np.nan, np.nan)], axis=0)]
    if segment:
        cells += [f'{counts[1]} of {counts[0]}', f'{counts[2] / frames:.1f}']
        cells.append(' '.join(f'{share:.2f}' for share in np.nanpercentile(lengths, [0, 50, 100])))
    print(f'  {time.perf_counter() - begun:.0f} s', flush=True)
    return f'| {name} | ' + ' | '.join(cells) + ' |'


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--scenes', nargs='+', default=[''], help='those whose names hold one')
    parser.add_argument('--frames', type=int, default=6)
    parser.add_argument('--seeds', type=int, default=8)
    parser.add_argument('--no-segment', action='store_true')
    args = parser.parse_args()
    rows = []
    for name, setting in SETTINGS.items():
        if not any(some in name for some in args.scenes):
            continue
        print(name, end='', flush=True)
        segment = not args.no_segment
        rows.append(row(name, setting, frames=args.frames, seeds=args.seeds, segment=segment))
        print(rows[-1], flush=True)
    columns = (
        'wrong floor | differs | refused | walls | parts | others | missed | of walls | length'
    )
    print(f'| scene | {columns} |')
    print('\n'.join(rows))


if __name__ == '__main__':
    main()
