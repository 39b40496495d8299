"""What the segmenter publishes for planners: picks, markers and detections of one frame."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseArray, PoseStamped
from rclpy.node import Node
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from insegan_ros.nodes import pick_messages
from insegan_ros.picks.boxes import OrientedBox, box_of
from insegan_ros.picks.gripper import Gripper, find_gripper
from insegan_ros.picks.planner import Plan, plan_picks
from insegan_ros.picks.scene import Scene
from insegan_ros.types import DepthFrame, Segmentation, Segmenter

DETECTIONS = '~/detections'
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
    class_id = given['method'] or Path(given['model'].partition(':')[0]).name
    grippers = [find_gripper(name.strip()) for name in given['gripper'].split(',')]
    outputs = PickOutputs(grippers, class_id, segmenter_of)
    if DETECTIONS not in outputs.topics():
        node.get_logger().info(
            f'without {DETECTIONS}: the package vision_msgs is not installed '
            '(apt install ros-$ROS_DISTRO-vision-msgs)'
        )
    return outputs


class PickOutputs:
    """Makes the messages; what two of them need of one frame is computed once."""

    def __init__(
        self,
        grippers: Sequence[Gripper],
        class_id: str,
        segmenter_of: Callable[[], Segmenter | None],
    ) -> None:
        """Plan for one gripper or several.

        Args:
            grippers: their geometry, in order of preference.
            class_id: of the part, in detections: the model's name.
            segmenter_of: it knows where the bin was in the last frame, and a model its template.
        """
        self._grippers, self._class_id, self._segmenter_of = grippers, class_id, segmenter_of
        self._failed: deque[tuple[float, float, float]] = deque(maxlen=REMEMBERED)
        self._planned: tuple[DepthFrame, Plan, list[OrientedBox]] | None = None

    def topics(self) -> dict[str, tuple[type, ToMessage]]:
        """Name -> the message's type, and what makes it.

        ~/detections is left out where vision_msgs is not installed.
        """
        made: dict[str, tuple[type, ToMessage]] = {
            '~/picks': (PoseArray, self._picks),
            '~/pick_markers': (MarkerArray, self._markers),
        }
        try:
            from vision_msgs.msg import Detection3DArray
        except ImportError:
            return made
        made[DETECTIONS] = (Detection3DArray, self._detections)
        return made

    def failed(self, message: PoseStamped) -> None:
        """A pick at this pose, in the camera's frame, lifted nothing: other places come first."""
        at = message.pose.position
        if np.isfinite([at.x, at.y, at.z]).all():
            self._failed.append((at.x, at.y, at.z))
            self._planned = None

    def _picks(self, frame: DepthFrame, found: Segmentation, header: Header) -> PoseArray:
        return pick_messages.picks(self._plan(frame, found)[0], header)

    def _markers(self, frame: DepthFrame, found: Segmentation, header: Header) -> MarkerArray:
        plan, boxes = self._plan(frame, found)
        return pick_messages.pick_markers(plan, boxes, self._grippers, header=header)

    def _detections(self, frame: DepthFrame, found: Segmentation, header: Header) -> Message:
        _, boxes = self._plan(frame, found)
        return pick_messages.detections(found, boxes, header, class_id=self._class_id)

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
