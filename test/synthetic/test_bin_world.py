"""The bin's physics: parts rest in it, do not run into each other, and follow it when shaken."""

from __future__ import annotations

import itertools

import manifold3d
import numpy as np
import pytest

from insegan_ros.synthetic.bin_world import BinSpec, BinWorld, Physics, SceneRejectedError
from insegan_ros.synthetic.parts import PARTS, make_part


def world_of(name: str, width: float = 2.0, capacity: int = 5) -> BinWorld:
    part = make_part(name)
    return BinWorld(part, BinSpec.for_part(part, width), capacity)


def corners(world: BinWorld) -> np.ndarray:
    """(N, V, 3) vertices of every part in the bin's frame."""
    vertices = world.parts[0].mesh.vertices
    poses = world.poses()
    at = poses[:, :3, 3] - world.displacement
    return np.einsum('nij,vj->nvi', poses[:, :3, :3], vertices) + at[:, None]


def overlap(world: BinWorld) -> float:
    """Largest volume that two parts' visual meshes share, of a part's volume."""
    mesh = world.parts[0].mesh
    faces = np.asarray(mesh.faces, np.uint64)
    solids = [
        manifold3d.Manifold(manifold3d.Mesh64(np.ascontiguousarray(v * 1e3), faces))
        for v in corners(world)
    ]
    shared = [(a ^ b).volume() for a, b in itertools.combinations(solids, 2)]
    return max(shared) / (mesh.volume * 1e9)


@pytest.mark.parametrize('name', PARTS)
def test_a_part_comes_to_rest_on_the_floor(name: str) -> None:
    world = world_of(name, capacity=1)
    world.drop(1, np.random.default_rng(3))
    assert world.settle()
    assert abs(corners(world)[..., 2].min()) < 5e-4
    before = world.poses()
    world.advance(0.3)
    assert np.abs(world.poses() - before)[:, :3, 3].max() < 2e-3


@pytest.mark.parametrize('name', PARTS)
def test_settled_parts_stay_in_the_bin_and_out_of_each_other(name: str) -> None:
    world = world_of(name)
    rng = np.random.default_rng(0)
    while True:
        world.drop(5, rng)
        if world.settle():
            break
    assert world.penetration() < 1e-3
    inside = corners(world)
    assert np.abs(inside[..., :2]).max() < world.bin_spec.width / 2 + 1e-3
    assert inside[..., 2].min() > -1e-3
    assert overlap(world) < 0.02


def test_a_drop_depends_on_its_generator_alone() -> None:
    world, fresh = world_of('bolt'), world_of('bolt')
    world.drop(3, np.random.default_rng(7))
    world.settle()
    world.drop(5, np.random.default_rng(1))
    world.settle()
    fresh.drop(5, np.random.default_rng(1))
    fresh.settle()
    np.testing.assert_array_equal(world.poses(), fresh.poses())


def test_parts_fall_all_over_the_bin_in_all_directions() -> None:
    world = world_of('cylinder', width=3.0, capacity=1)
    places, axes = [], []
    for seed in range(25):
        world.drop(1, np.random.default_rng(seed))
        world.settle()
        places.append(world.poses()[0, :2, 3])
        axes.append(world.poses()[0, :3, 2])
    assert np.std(places, axis=0).min() > world.bin_spec.width / 10
    assert np.mean(np.square(axes), axis=0)[:2].min() > 0.25  # lying along x and along y


def test_in_a_falling_bin_parts_are_weightless() -> None:
    world = world_of('nut', capacity=1)
    world.drop(1, np.random.default_rng(0))
    world.settle()
    height = world.poses()[0, 2, 3]
    world.advance(0.2, np.array([0, 0, -15.0]))  # it falls faster than its part
    assert world.poses()[0, 2, 3] - height == pytest.approx(0.5 * (15 - 9.81) * 0.04, rel=0.15)


@pytest.mark.parametrize(
    ('spec', 'physics', 'reason'),
    [
        (BinSpec(0.112, wall_height=0.005), Physics(), 'above the rim'),
        (BinSpec(0.112, wall_height=0.1), Physics(max_penetration=-1.0), 'interpenetrate'),
    ],
)
def test_a_bad_scene_is_rejected_with_its_reason(
    spec: BinSpec, physics: Physics, reason: str
) -> None:
    world = BinWorld(make_part('nut'), spec, 5, physics=physics)
    world.drop(5, np.random.default_rng(0))
    world.settle()
    with pytest.raises(SceneRejectedError, match=reason):
        world.check()


def test_calls_that_make_no_sense_are_refused() -> None:
    world = world_of('nut', capacity=2)
    with pytest.raises(ValueError, match='0 to 2'):
        world.drop(3, np.random.default_rng(0))
