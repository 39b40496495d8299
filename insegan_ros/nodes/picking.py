"""What the segmenter publishes for planners: picks, markers and detections of one frame."""

from __future__ import annotations

import importlib
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseArray, PoseStamped
from rclpy.node import Node
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from insegan_ros.nodes import pick_messages
from insegan_ros.nodes.collision_scene import CollisionScene
from insegan_ros.picks.boxes import OrientedBox, box_of
from insegan_ros.picks.gripper import find_gripper
from insegan_ros.picks.planner import Plan, plan_picks
from insegan_ros.picks.scene import Scene
from insegan_ros.types import DepthFrame, Segmentation, Segmenter

DETECTIONS, FRAMES, OBSTACLES = '~/detections', '/tf', '~/planning_scene'
# topic: module, message and package that not every installation has
OPTIONAL = {
    DETECTIONS: ('vision_msgs.msg', 'Detection3DArray', 'vision-msgs'),
    FRAMES: ('tf2_msgs.msg', 'TFMessage', 'tf2-msgs'),
    OBSTACLES: ('moveit_msgs.msg', 'PlanningScene', 'moveit-msgs'),
}
REMEMBERED = 10  # places where picks have failed
Message = Any  # of ROS
ToMessage = Callable[[DepthFrame, Segmentation, Header], Message]


def pick_outputs(
    given: Mapping, segmenter_of: Callable[[], Segmenter | None], node: Node
) -> PickOutputs:
    """What a node with these parameters plans; what is missing is said in the node's log.

    Args:
        segmenter_of: what segments at present; None before there is one.

    Raises:
        ConfigError: there is no such gripper.
    """
    outputs = PickOutputs(given, segmenter_of)
    for topic in set(outputs.wanted()) - set(outputs.topics()):
        module, _, package = OPTIONAL[topic]
        node.get_logger().info(
            f'without {topic}: the package {module.partition(".")[0]} is not installed '
            f'(apt install ros-$ROS_DISTRO-{package})'
        )
    return outputs


class PickOutputs:
    """Makes the messages; what two of them need of one frame is computed once."""

    def __init__(self, given: Mapping, segmenter_of: Callable[[], Segmenter | None]) -> None:
        """Plan for one gripper or several.

        Args:
            given: the node's parameters.
            segmenter_of: it knows where the bin was in the last frame, and a model its template.

        Raises:
            ConfigError: there is no such gripper.
        """
        self._grippers = [find_gripper(name.strip()) for name in given['gripper'].split(',')]
        self._class_id = given['method'] or Path(given['model'].partition(':')[0]).name
        self._frames, self._segmenter_of = given['tf_picks'], segmenter_of
        self._obstacles: CollisionScene | None = None
        if given['collision_seconds'] > 0:
            shapes = [one.mesh for one in templates_of(segmenter_of())]
            meshes = [(np.asarray(mesh.vertices), np.asarray(mesh.faces)) for mesh in shapes]
            self._obstacles = CollisionScene(given['collision_seconds'], meshes)
        self._failed: deque[tuple[float, float, float]] = deque(maxlen=REMEMBERED)
        self._planned: tuple[DepthFrame, Plan, list[OrientedBox]] | None = None

    def wanted(self) -> dict[str, ToMessage]:
        """The optional topics that the parameters ask for."""
        made: dict[str, ToMessage] = {DETECTIONS: self._detections}
        if self._frames:
            made[FRAMES] = self._pick_frames
        if self._obstacles is not None:
            made[OBSTACLES] = self._planning_scene
        return made

    def topics(self) -> dict[str, tuple[type, ToMessage]]:
        """Name -> the message's type, and what makes it.

        What needs a package that is not installed is left out.
        """
        made: dict[str, tuple[type, ToMessage]] = {
            '~/picks': (PoseArray, self._picks),
            '~/pick_markers': (MarkerArray, self._markers),
        }
        for topic, to_message in self.wanted().items():
            module, name, _ = OPTIONAL[topic]
            try:
                made[topic] = (getattr(importlib.import_module(module), name), to_message)
            except ImportError:
                continue
        return made

    def failed(self, message: PoseStamped) -> str:
        """A pick at this pose lifted nothing: other places come first; why not, or ''."""
        at, given = message.pose.position, message.header.frame_id
        if not np.isfinite([at.x, at.y, at.z]).all():
            return (
                f'~/pick_failed at {at.x}, {at.y}, {at.z} is ignored: finite metres are expected'
            )
        seen_in = self._planned[0].frame_id if self._planned else given
        if given and given != seen_in:
            return f'~/pick_failed in {given!r} is ignored: give it in the frame {seen_in!r}'
        self._failed.append((at.x, at.y, at.z))
        self._planned = None
        return ''

    def _picks(self, frame: DepthFrame, found: Segmentation, header: Header) -> PoseArray:
        return pick_messages.picks(self._plan(frame, found)[0], header)

    def _markers(self, frame: DepthFrame, found: Segmentation, header: Header) -> MarkerArray:
        plan, boxes = self._plan(frame, found)
        return pick_messages.pick_markers(plan, boxes, self._grippers, header=header)

    def _detections(self, frame: DepthFrame, found: Segmentation, header: Header) -> Message:
        _, boxes = self._plan(frame, found)
        return pick_messages.detections(found, boxes, header, class_id=self._class_id)

    def _pick_frames(self, frame: DepthFrame, found: Segmentation, header: Header) -> Message:
        return pick_messages.pick_frames(self._plan(frame, found)[0], header, most=self._frames)

    def _planning_scene(self, frame: DepthFrame, found: Segmentation, header: Header) -> Message:
        assert self._obstacles is not None  # or the topic is not wanted
        _, boxes = self._plan(frame, found)
        now = time.monotonic()
        return self._obstacles.seen(frame, found, header, boxes=boxes, now=now)

    def outlived(self, *, ending: bool = False) -> Message | None:
        """What takes obstacles of too long ago away on ~/planning_scene, or all at the end."""
        if self._obstacles is None:
            return None
        if ending:
            return self._obstacles.cleared()
        return self._obstacles.expired(time.monotonic())

    def answer(self, frame: DepthFrame, found: Segmentation, header: Header) -> str:
        """The picks of a frame as JSON, for a service.

        Raises:
            ValueError: no bin is known, or the gripper does not fit into it.
        """
        return pick_messages.as_json(self._plan(frame, found)[0], header)

    def _plan(self, frame: DepthFrame, found: Segmentation) -> tuple[Plan, list[OrientedBox]]:
        """Raises: ValueError, where no bin is known or the gripper does not fit into it."""
        planned = self._planned  # another thread may replace it meanwhile
        if planned is None or planned[0] is not frame:
            segmenter = self._segmenter_of()
            parts_bin = None if segmenter is None else segmenter.parts_bin
            if parts_bin is None:
                raise ValueError('no bin is known, so no pick can be planned; set bin_file')
            failed = np.reshape(list(self._failed), (-1, 3))
            plan = plan_picks(frame, found, parts_bin, gripper=self._grippers, failed=failed)
            planned = frame, plan, boxes_of(Scene.of(frame, found, parts_bin))
            self._planned = planned
        return planned[1:]


def templates_of(segmenter: object) -> tuple[Any, ...]:
    """An inference.poses.PoseEstimator a kind of part, of a segmenter that knows shapes; or none.

    It is asked for by name, since what it is made of would be imported for classical methods, too.
    """
    return tuple(getattr(getattr(segmenter, 'inner', segmenter), 'poses', ()))


def boxes_of(scene: Scene) -> list[OrientedBox]:
    """The oriented box of each instance, from its visible points and its pose's axes."""
    boxes = []
    for k, window in enumerate(scene.windows(margin_px=0)):
        visible = scene.points[:0, 0]
        if window is not None:
            own = scene.found.labels[window] == k + 1
            visible = scene.points[window][own]
            visible = visible[visible[:, 2] > 0]  # False where unmeasured
        boxes.append(box_of(scene.found.poses[k], visible=visible))
    return boxes
