"""Picks and instances as messages that planners and RViz take: pure functions, no node."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, PoseArray, TransformStamped, Vector3
from scipy.spatial.transform import Rotation
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from insegan_ros.nodes.messages import pose_message
from insegan_ros.picks.boxes import OrientedBox
from insegan_ros.picks.gripper import Gripper, SuctionCup
from insegan_ros.picks.pick import Pick
from insegan_ros.picks.planner import Plan
from insegan_ros.types import Segmentation

READY = ColorRGBA(r=0.1, g=0.8, b=0.2, a=0.9)
WAITING = ColorRGBA(r=1.0, g=0.6, b=0.0, a=0.7)
BOX = ColorRGBA(r=0.3, g=0.5, b=1.0, a=0.25)
AXIS_M = 0.02  # length of a pose's axes in RViz


def picks(plan: Plan, header: Header) -> PoseArray:
    """The tool's poses, best pick first; z is the approach. Parts that wait are left out."""
    return PoseArray(header=header, poses=[pose_message(pick.pose) for pick in plan.ready])


def pick_frames(plan: Plan, header: Header, *, most: int) -> Any:
    """tf2_msgs/TFMessage: the tool's poses of the best picks as the frames pick_1, pick_2, ...

    Raises:
        ImportError: the package tf2_msgs is not installed.
    """
    from tf2_msgs.msg import TFMessage  # on no package registry: only where ROS brings it

    frames = []
    for number, pick in enumerate(plan.ready[:most], 1):
        pose = pose_message(pick.pose)
        frame = TransformStamped(header=header, child_frame_id=f'pick_{number}')
        x, y, z = pick.pose[:3, 3].tolist()
        frame.transform.translation = Vector3(x=x, y=y, z=z)
        frame.transform.rotation = pose.orientation
        frames.append(frame)
    return TFMessage(transforms=frames)


def as_json(plan: Plan, header: Header) -> str:
    """All of a plan, for the answer of a service that can carry text alone.

    Lengths are metres, orientations quaternions x, y, z, w of the tool in the frame `frame_id`,
    whose z is the approach; `tool` counts the grippers that are planned for. Picks that wait for
    other parts come last and name them.
    """
    picked = [
        {
            'label': pick.label,
            'kind': pick.kind,
            'tool': pick.tool,
            'chance': round(pick.chance, 4),
            'position': np.round(pick.pose[:3, 3], 5).tolist(),
            'orientation': np.round(Rotation.from_matrix(pick.pose[:3, :3]).as_quat(), 6).tolist(),
            'width': round(pick.width_m, 5),
            'waits_for': list(pick.waits_for),
        }
        for pick in plan.picks
    ]
    return json.dumps(
        {
            'stamp': {'sec': header.stamp.sec, 'nanosec': header.stamp.nanosec},
            'frame_id': header.frame_id,
            'picks': picked,
            'none': [{'label': none.label, 'reason': none.reason} for none in plan.none],
        }
    )


def pick_markers(
    plan: Plan, boxes: list[OrientedBox], grippers: Sequence[Gripper], *, header: Header
) -> MarkerArray:
    """Boxes, axes and the gripper at each pick, for RViz; what was there before is removed."""
    markers = [Marker(header=header, action=Marker.DELETEALL)]
    markers += [_box(box, header, number) for number, box in enumerate(boxes)]
    markers += [_axes(box, header, number) for number, box in enumerate(boxes)]
    markers += [_tool(pick, grippers[pick.tool], header) for pick in plan.picks]
    markers += [_chance(pick, header) for pick in plan.picks]
    return MarkerArray(markers=markers)


def _box(box: OrientedBox, header: Header, number: int) -> Marker:
    x, y, z = box.size_m.tolist()
    return Marker(
        header=header,
        ns='boxes',
        id=number,
        type=Marker.CUBE,
        pose=pose_message(box.pose),
        scale=Vector3(x=x, y=y, z=z),
        color=BOX,
    )


def _axes(box: OrientedBox, header: Header, number: int) -> Marker:
    """Three coloured lines, x red, y green, z blue."""
    marker = Marker(header=header, ns='axes', id=number, type=Marker.LINE_LIST)
    marker.scale.x = 0.0015
    marker.pose.orientation.w = 1.0
    origin = box.pose[:3, 3]
    for axis in range(3):
        end = origin + AXIS_M * box.pose[:3, axis]
        color = ColorRGBA(r=float(axis == 0), g=float(axis == 1), b=float(axis == 2), a=1.0)
        for point in (origin, end):
            x, y, z = point.tolist()
            marker.points.append(Point(x=x, y=y, z=z))
            marker.colors.append(color)
    return marker


def _tool(pick: Pick, gripper: Gripper, header: Header) -> Marker:
    """A cup as a flat cylinder, a jaw as a bar between its contacts."""
    marker = Marker(header=header, ns='picks', id=pick.label, pose=pose_message(pick.pose))
    marker.color = WAITING if pick.waits_for else READY
    if isinstance(gripper, SuctionCup):
        marker.type = Marker.CYLINDER
        width = 2 * gripper.cup_radius_m
        marker.scale = Vector3(x=width, y=width, z=0.003)
    else:
        marker.type = Marker.CUBE
        marker.scale = Vector3(x=max(pick.width_m, 1e-3), y=gripper.finger_width_m, z=0.003)
    return marker


def _chance(pick: Pick, header: Header) -> Marker:
    marker = Marker(header=header, ns='chances', id=pick.label, type=Marker.TEXT_VIEW_FACING)
    marker.pose = pose_message(pick.pose)
    marker.text = f'{pick.chance:.2f}'
    marker.scale.z = 0.012
    marker.color = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
    return marker


def detections(
    found: Segmentation, boxes: list[OrientedBox], header: Header, *, class_id: str
) -> Any:
    """vision_msgs/Detection3DArray: an oriented box, a pose and a score for each instance.

    Raises:
        ImportError: the package vision_msgs is not installed.
    """
    from vision_msgs.msg import (  # on no package registry: only where ROS brings it
        Detection3D,
        Detection3DArray,
        ObjectHypothesisWithPose,
    )

    message = Detection3DArray(header=header)
    for k, box in enumerate(boxes):
        hypothesis = ObjectHypothesisWithPose()
        # of several kinds of part the model's name alone does not say which
        kind = '' if found.kinds is None else f'/{found.kinds[k]}'
        hypothesis.hypothesis.class_id = f'{class_id}{kind}'
        hypothesis.hypothesis.score = float(found.scores[k])
        hypothesis.pose.pose = pose_message(found.poses[k])
        detection = Detection3D(header=header, results=[hypothesis], id=str(k + 1))
        detection.bbox.center = pose_message(box.pose)
        x, y, z = box.size_m.tolist()
        detection.bbox.size = Vector3(x=x, y=y, z=z)
        message.detections.append(detection)
    return message
