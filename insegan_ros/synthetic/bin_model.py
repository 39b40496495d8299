"""The bodies of a simulated bin and its parts, as MuJoCo has them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from insegan_ros.optional import needed_for
from insegan_ros.synthetic.parts import Part

with needed_for('the simulated bin'):
    import mujoco

if TYPE_CHECKING:
    from insegan_ros.synthetic.bin_world import BinSpec, Physics


def world_of(
    parts: Sequence[Part], spec: BinSpec, capacity: int, *, physics: Physics
) -> mujoco.MjSpec:
    """A bin and bodies part0, part1, ..., parked far away, before it is compiled.

    The first `capacity` bodies are of the first kind of part, and so on.
    """
    world = mujoco.MjSpec()
    world.option.timestep = physics.timestep
    world.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    world.option.iterations = physics.iterations
    world.option.tolerance = 1e-6
    world.option.cone = mujoco.mjtCone.mjCONE_PYRAMIDAL
    solref = [2 * physics.timestep, 1.0]
    half = spec.width / 2
    planes = {
        'floor': ([0, 0, 0], [1, 0, 0, 0]),
        # the walls collide to any height, so that falling parts cannot miss the bin
        'x-': ([-half, 0, 0], [0.5**0.5, 0, 0.5**0.5, 0]),
        'x+': ([half, 0, 0], [0.5**0.5, 0, -(0.5**0.5), 0]),
        'y-': ([0, -half, 0], [0.5**0.5, -(0.5**0.5), 0, 0]),
        'y+': ([0, half, 0], [0.5**0.5, 0.5**0.5, 0, 0]),
    }
    common = {'friction': [physics.friction, 0.002, 1e-4], 'solref': solref, 'condim': 3}
    for name, (position, quaternion) in planes.items():
        world.worldbody.add_geom(
            name=name,
            type=mujoco.mjtGeom.mjGEOM_PLANE,
            size=[1, 1, 0.1],
            pos=position,
            quat=quaternion,
            **common,
        )
    for kind, part in enumerate(parts):
        pieces = [f'piece{kind}.{k}' for k in range(len(part.convex_pieces))]
        for name, piece in zip(pieces, part.convex_pieces, strict=True):
            mesh = world.add_mesh(name=name)
            mesh.uservert = np.asarray(piece.vertices, np.float32).ravel()
            mesh.userface = np.asarray(piece.faces, np.int32).ravel()
        mass = float(part.mesh.volume) * physics.density
        inertia = np.asarray(part.mesh.moment_inertia) * physics.density
        for k in range(kind * capacity, (kind + 1) * capacity):
            body = world.worldbody.add_body(name=f'part{k}', pos=[10.0 + k, 0, 0])
            body.add_freejoint()
            body.explicitinertial = True
            body.mass = mass
            body.ipos = [0, 0, 0]
            body.fullinertia = inertia[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
            for name in pieces:
                body.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname=name, **common)
    return world


def compiled(world: mujoco.MjSpec, parts: Sequence[Part], physics: Physics) -> mujoco.MjModel:
    """The model of `world_of`, whatever was added to it, with the parts' air resistance."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        model = world.compile()
    bodies = [k for k in range(model.nbody) if model.body(k).name.startswith('part')]
    # Air and rolling resistance: a cylinder shall not roll for ever. 1/s of momentum lost.
    damping = model.dof_damping[: 6 * len(bodies)].reshape(len(parts), -1, 6)
    for own, part in zip(damping, parts, strict=True):
        own[:, :3] = float(part.mesh.volume) * physics.density * 0.5
        inertia = np.mean(np.diag(np.asarray(part.mesh.moment_inertia)))
        own[:, 3:] = inertia * physics.density * 5.0
    return model
