"""A gripper's bodies for MuJoCo: a hand that follows its target, and the tool hung from it."""

from __future__ import annotations

import mujoco
import numpy as np

from insegan_ros.picks.gripper import Gripper, ParallelJaw, SuctionCup
from insegan_ros.synthetic.bin_world import BinSpec

LIP_POINTS = 12  # small spheres around the lip
LIP_SPHERE_M = 0.0005  # their radius
VACUUM_PA = 70e3  # below the outside pressure; what an ejector usually reaches
PARTS_BIT, TOOL_BIT, WALL_BIT = 1, 2, 4
GRIP = 'grip'  # how the names of the geoms begin that hold


def add_finite_walls(world: mujoco.MjSpec, spec: BinSpec) -> None:
    """Walls of their real height for the tool; the endless ones are for falling parts alone."""
    for geom in world.worldbody.geoms:
        if geom.name != 'floor':
            geom.contype, geom.conaffinity = PARTS_BIT, PARTS_BIT
        else:
            geom.contype, geom.conaffinity = PARTS_BIT, PARTS_BIT | TOOL_BIT
    thick, high = spec.wall_thickness / 2, spec.wall_height / 2
    at, long = spec.width / 2 + thick, spec.width / 2 + spec.wall_thickness
    for k, (x, y) in enumerate([(at, 0), (-at, 0), (0, at), (0, -at)]):
        size = [thick, long, high] if x else [long, thick, high]
        world.worldbody.add_geom(
            name=f'wall{k}',
            type=mujoco.mjtGeom.mjGEOM_BOX,
            pos=[x, y, high],
            size=size,
            contype=WALL_BIT,
            conaffinity=TOOL_BIT,
        )


def add_hand(world: mujoco.MjSpec, tool: Gripper) -> None:
    """A hand that follows its target exactly, and the tool that hangs from it."""
    hand = world.worldbody.add_body(name='hand', pos=[0, 0, 2])
    hand.mocap = True
    body = world.worldbody.add_body(name='tool', pos=[0, 0, 2])
    body.add_freejoint()
    body.gravcomp = 1
    body.explicitinertial = True
    body.mass, body.inertia = 0.3, [3e-4, 3e-4, 3e-4]
    weld = world.add_equality(
        name='wrist', type=mujoco.mjtEq.mjEQ_WELD, objtype=mujoco.mjtObj.mjOBJ_BODY
    )
    weld.name1, weld.name2 = 'hand', 'tool'
    weld.data[:] = 0  # no anchor; the relative pose is that of the start, which is none
    weld.data[10] = 1  # torques count as forces do at one metre
    weld.solref[:] = [2 * world.option.timestep, 1]
    touch = {
        'contype': TOOL_BIT,
        'conaffinity': PARTS_BIT | WALL_BIT,
        'friction': [0.8, 0.005, 1e-4],
    }
    if isinstance(tool, SuctionCup):
        _add_cup(world, body, tool, touch=touch)
    else:
        _add_fingers(world, body, tool, touch=touch)


def _add_cup(world: mujoco.MjSpec, body: mujoco.MjsBody, cup: SuctionCup, *, touch: dict) -> None:
    """The lip's spheres hold; the tube, a body of its own, only gets in the way."""
    reach = cup.cup_radius_m
    for k in range(LIP_POINTS):
        angle = 2 * np.pi * k / LIP_POINTS
        body.add_geom(
            name=f'grip{k}',
            type=mujoco.mjtGeom.mjGEOM_SPHERE,
            size=[LIP_SPHERE_M, 0, 0],
            pos=[reach * np.cos(angle), reach * np.sin(angle), -LIP_SPHERE_M],
            margin=2 * cup.lip_gap_m,
            gap=2 * cup.lip_gap_m,
            condim=4,
            **touch,
        )
    tube = body.add_body(name='tube')
    half = cup.tube_length_m / 2
    tube.add_geom(
        name='tube',
        type=mujoco.mjtGeom.mjGEOM_CYLINDER,
        size=[cup.tube_radius_m, half, 0],
        pos=[0, 0, -half - 0.004],
        mass=0.001,
        **touch,
    )
    vacuum = world.add_actuator(name='vacuum', trntype=mujoco.mjtTrn.mjTRN_BODY, target='tool')
    vacuum.set_to_adhesion(VACUUM_PA * np.pi * cup.cup_radius_m**2)
    vacuum.ctrlrange[:] = [0, 1]


def _add_fingers(
    world: mujoco.MjSpec, body: mujoco.MjsBody, jaw: ParallelJaw, *, touch: dict
) -> None:
    length = jaw.finger_depth_m + 0.03
    for side, sign in (('left', -1), ('right', 1)):
        finger = body.add_body(name=side)
        finger.add_joint(
            name=side,
            type=mujoco.mjtJoint.mjJNT_SLIDE,
            axis=[sign, 0, 0],
            range=[0, jaw.stroke_m / 2],
            limited=True,
            damping=2.0,
            armature=0.02,
        )
        finger.add_geom(
            name=f'grip_{side}',
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=[jaw.finger_thickness_m / 2, jaw.finger_width_m / 2, length / 2],
            pos=[sign * jaw.finger_thickness_m / 2, 0, -length / 2],
            mass=0.02,
            condim=4,
            **touch,
        )
        finger.gravcomp = 1
        motor = world.add_actuator(name=side, trntype=mujoco.mjtTrn.mjTRN_JOINT, target=side)
        motor.set_to_position(kp=600, kv=20)
        motor.forcerange[:] = [-15, 15]  # N
