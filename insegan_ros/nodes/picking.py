"""What the segmenter publishes for planners: picks, markers and detections of one frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from geometry_msgs.msg import PoseArray
from rclpy.node import Node
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from insegan_ros.bin import Bin
from insegan_ros.nodes import pick_messages
from insegan_ros.picks.boxes import OrientedBox, box_of
from insegan_ros.picks.gripper import Gripper, find_gripper
from insegan_ros.picks.planner import Plan, plan_picks
from insegan_ros.picks.scene import Scene
from insegan_ros.types import DepthFrame, Segmentation

DETECTIONS = '~/detections'
Message = Any  # of ROS
ToMessage = Callable[[DepthFrame, Segmentation, Header], Message]


def pick_topics(
    given: Mapping, bin_of: Callable[[], Bin | None], node: Node
) -> dict[str, tuple[type, ToMessage]]:
    """The topics of a node with these parameters: name -> message type, and what makes it.

    What is missing is said in the node's log.

    Raises:
        ConfigError: there is no such gripper.
    """
    class_id = given['method'] or Path(given['model'].partition(':')[0]).name
    topics = PickOutputs(find_gripper(given['gripper']), class_id, bin_of).topics()
    if DETECTIONS not in topics:
        node.get_logger().info(
            f'without {DETECTIONS}: the package vision_msgs is not installed '
            '(apt install ros-$ROS_DISTRO-vision-msgs)'
        )
    return topics


class PickOutputs:
    """Makes the messages; what two of them need of one frame is computed once."""

    def __init__(self, gripper: Gripper, class_id: str, bin_of: Callable[[], Bin | None]) -> None:
        """Plan for one gripper.

        Args:
            gripper: its geometry.
            class_id: of the part, in detections: the model's name.
            bin_of: where the bin was in the frame that was segmented last.
        """
        self._gripper, self._class_id, self._bin_of = gripper, class_id, bin_of
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

    def _picks(self, frame: DepthFrame, found: Segmentation, header: Header) -> PoseArray:
        return pick_messages.picks(self._plan(frame, found)[0], header)

    def _markers(self, frame: DepthFrame, found: Segmentation, header: Header) -> MarkerArray:
        plan, boxes = self._plan(frame, found)
        return pick_messages.pick_markers(plan, boxes, self._gripper, header=header)

    def _detections(self, frame: DepthFrame, found: Segmentation, header: Header) -> Message:
        _, boxes = self._plan(frame, found)
        return pick_messages.detections(found, boxes, header, class_id=self._class_id)

    def _plan(self, frame: DepthFrame, found: Segmentation) -> tuple[Plan, list[OrientedBox]]:
        """Raises: ValueError, where no bin is known or the gripper does not fit into it."""
        if self._planned is None or self._planned[0] is not frame:
            bin_ = self._bin_of()
            if bin_ is None:
                raise ValueError('no bin is known, so no pick can be planned; set bin_file')
            plan = plan_picks(frame, found, bin_, gripper=self._gripper)
            self._planned = frame, plan, boxes_of(Scene.of(frame, found, bin_))
        return self._planned[1:]


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
