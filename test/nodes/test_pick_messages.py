from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rclpy')
sys.path.insert(0, str(Path(__file__).parents[1] / 'picks'))
from scenes import boxes
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from insegan_ros.nodes import pick_messages
from insegan_ros.picks.boxes import box_of
from insegan_ros.picks.gripper import ParallelJaw, SuctionCup
from insegan_ros.picks.planner import plan_picks


@pytest.fixture(params=[SuctionCup(), ParallelJaw()], ids=['suction', 'parallel'])
def planned(request):
    under, over = (0, 0, 0.08, 0.04, 0.02), (0.03, 0, 0.03, 0.04, 0.045)
    frame, found, parts_bin = boxes(under, over)
    plan = plan_picks(frame, found, parts_bin, gripper=request.param)
    around = [box_of(pose, visible=np.zeros((0, 3))) for pose in found.poses]
    return plan, around, found, request.param


def test_only_parts_that_wait_for_nothing_are_published_as_picks(planned):
    plan, *_ = planned
    header = Header(frame_id='camera')
    message = pick_messages.picks(plan, header)
    assert len(message.poses) == len(plan.ready) == 1
    assert message.header.frame_id == 'camera'
    np.testing.assert_allclose(message.poses[0].position.z, plan.ready[0].pose[2, 3])


def test_markers_begin_by_removing_the_old_ones_and_have_different_names(planned):
    plan, around, _, gripper = planned
    markers = pick_messages.pick_markers(plan, around, [gripper], header=Header()).markers
    assert markers[0].action == Marker.DELETEALL
    names = [(marker.ns, marker.id) for marker in markers[1:]]
    assert len(names) == len(set(names))
    assert {ns for ns, _ in names} == {'boxes', 'axes', 'picks', 'chances'}
    assert all(min(m.scale.x, m.scale.y, m.scale.z) > 0 for m in markers if m.ns == 'boxes')


def test_detections_carry_a_box_a_pose_and_a_score_for_each_instance(planned):
    pytest.importorskip('vision_msgs', reason='vision_msgs is on no package registry')
    _, around, found, _ = planned
    message = pick_messages.detections(found, around, Header(), class_id='nut')
    assert [d.results[0].hypothesis.class_id for d in message.detections] == ['nut'] * 2


def test_the_answer_in_json_names_every_instance_with_its_pick_or_why_it_has_none(planned):
    plan, *_ = planned
    header = Header(frame_id='camera')
    header.stamp.sec = 7
    answer = json.loads(pick_messages.as_json(plan, header))
    assert answer['stamp'] == {'sec': 7, 'nanosec': 0}
    assert answer['frame_id'] == 'camera'
    labels = [one['label'] for one in answer['picks'] + answer['none']]
    assert sorted(labels) == [1, 2]
    assert answer['picks'][0]['waits_for'] == []
    np.testing.assert_allclose(
        answer['picks'][0]['position'], plan.picks[0].pose[:3, 3], atol=1e-5
    )
