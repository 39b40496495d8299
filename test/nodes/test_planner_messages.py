"""Messages of packages that no index carries; stand-ins hold their fields."""

from __future__ import annotations

import sys
from copy import copy
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import trimesh

pytest.importorskip('rclpy', reason='ROS 2 is not installed')
sys.path.insert(0, str(Path(__file__).parents[1] / 'picks'))
from geometry_msgs.msg import Pose
from scenes import as_posed, boxes
from std_msgs.msg import Header

from insegan_ros.nodes import pick_messages
from insegan_ros.nodes.collision_scene import CELLS, CollisionScene, coarser
from insegan_ros.nodes.picking import boxes_of
from insegan_ros.picks.gripper import SuctionCup
from insegan_ros.picks.planner import plan_picks
from insegan_ros.picks.scene import Scene

BALL = trimesh.creation.icosphere(4, 0.02)


def message(type_name: str, /, **fields: object) -> type:
    """A stand-in that refuses what the message has no field for."""

    class Message:
        __slots__ = tuple(fields)

        def __init__(self, **given):
            for field, value in {**fields, **given}.items():
                setattr(self, field, copy(value))

    Message.__name__ = type_name
    return Message


CollisionObject = message(
    'CollisionObject',
    header=Header(), pose=Pose(), id='', type=None,
    primitives=[], primitive_poses=[], meshes=[], mesh_poses=[], planes=[], plane_poses=[],
    subframe_names=[], subframe_poses=[], operation=b'\x00',
)  # fmt: skip
CollisionObject.ADD, CollisionObject.REMOVE = b'\x00', b'\x01'
RobotState = message(
    'RobotState', joint_state=None, multi_dof_joint_state=None, attached_collision_objects=[],
    is_diff=False,
)  # fmt: skip
World = message('PlanningSceneWorld', collision_objects=[], octomap=None)
PlanningScene = message(
    'PlanningScene',
    name='', robot_state=RobotState(), robot_model_name='', fixed_frame_transforms=[],
    allowed_collision_matrix=None, link_padding=[], link_scale=[], object_colors=[],
    world=World(), is_diff=False,
)  # fmt: skip
TFMessage = message('TFMessage', transforms=[])


@pytest.fixture(autouse=True)
def packages(monkeypatch):
    """As if ROS had brought them."""
    for name, kinds in (
        ('moveit_msgs', (CollisionObject, PlanningScene)),
        ('tf2_msgs', (TFMessage,)),
    ):
        if find_spec(name) is not None:
            continue
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
        module = ModuleType(f'{name}.msg')
        for kind in kinds:
            setattr(module, kind.__name__, kind)
        monkeypatch.setitem(sys.modules, f'{name}.msg', module)


def seen(scene, *given, now=0.0, template=False):
    frame, found, parts_bin = boxes(*given)
    if template and found.count:
        found = as_posed(found)
    around = boxes_of(Scene.of(frame, found, parts_bin))
    message = scene.seen(frame, found, Header(frame_id='camera'), boxes=around, now=now)
    return message.world.collision_objects


def operations(objects):
    return {one.id: one.operation for one in objects}


def test_parts_that_are_gone_are_taken_out_of_the_planning_scene():
    scene = CollisionScene(2.0, [])
    two = ((-0.05, 0, 0.04, 0.04, 0.03), (0.05, 0, 0.04, 0.04, 0.03))
    assert operations(seen(scene, *two)) == {'part_1': b'\x00', 'part_2': b'\x00'}
    assert operations(seen(scene, two[0])) == {'part_1': b'\x00', 'part_2': b'\x01'}
    assert operations(seen(scene)) == {'part_1': b'\x01'}
    assert seen(scene) == []


def test_parts_without_a_new_frame_are_taken_away_once():
    scene = CollisionScene(2.0, [])
    seen(scene, (0, 0, 0.04, 0.04, 0.03), now=10.0)
    assert scene.expired(11.9) is None
    gone = scene.expired(12.0)
    assert gone.is_diff
    assert operations(gone.world.collision_objects) == {'part_1': b'\x01'}
    assert scene.expired(20.0) is None
    assert scene.cleared() is None


def test_a_posed_part_is_its_template_s_mesh_and_another_one_a_box():
    scene = CollisionScene(2.0, [(BALL.vertices, BALL.faces)])
    two = ((-0.05, 0, 0.04, 0.04, 0.03), (0.05, 0, 0.04, 0.04, 0.03))
    mesh, box = seen(scene, *two, template=True)
    assert len(mesh.meshes) == len(mesh.mesh_poses) == 1
    assert not mesh.primitives
    assert np.array(box.primitives[0].dimensions).max() == pytest.approx(0.04, abs=0.004)


def test_a_coarser_mesh_keeps_its_size_with_few_faces():
    vertices, faces = coarser(BALL.vertices, BALL.faces)
    assert len(faces) < len(BALL.faces) / 2
    np.testing.assert_allclose(np.ptp(vertices, axis=0), 0.04, atol=2 * 0.04 / CELLS)
    rough = trimesh.Trimesh(vertices, faces, process=False)
    assert rough.volume == pytest.approx(BALL.volume, rel=0.15)
    assert rough.is_watertight


def test_frames_of_the_best_picks_have_their_poses():
    frame, found, parts_bin = boxes((-0.05, 0, 0.04, 0.04, 0.03), (0.05, 0, 0.04, 0.04, 0.03))
    plan = plan_picks(frame, found, parts_bin, gripper=SuctionCup())
    header = Header(frame_id='camera')
    transforms = pick_messages.pick_frames(plan, header, most=1).transforms
    assert [one.child_frame_id for one in transforms] == ['pick_1']
    assert transforms[0].header.frame_id == 'camera'
    assert transforms[0].transform.translation.z == pytest.approx(plan.ready[0].pose[2, 3])
