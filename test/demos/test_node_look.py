from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='the demo talks to a ROS 2 node')
import rclpy
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from insegan_ros.demos import node_look
from insegan_ros.demos.node_look import NodeLook, picks_of
from insegan_ros.demos.processes import DemoError
from insegan_ros.nodes.messages import to_image
from insegan_ros.nodes.pick_messages import as_json
from insegan_ros.picks.pick import Cues, Pick, tool_pose
from insegan_ros.picks.planner import Plan
from insegan_ros.types import DepthFrame, Intrinsics

CUES = Cues(**dict.fromkeys(Cues.names(), 0.5))


def pick(label, tool, waits_for=()):
    kind = ('suction', 'parallel')[tool]
    pose = tool_pose(np.array([0.1 * label, 0.02, 0.5]), np.array([0, 0.6, 0.8]), np.eye(3)[0])
    given = {'label': label, 'kind': kind, 'pose': pose, 'chance': 0.7, 'cues': CUES}
    return Pick(**given, width_m=0.03, tool=tool, waits_for=waits_for)


def test_the_demo_reads_the_picks_that_the_service_answers():
    plan = Plan((pick(2, 1), pick(1, 0), pick(3, 0, (1,))), ())
    read = picks_of(as_json(plan, Header()))
    assert [(one.label, one.tool, one.kind) for one in read] == [
        (2, 1, 'parallel'),
        (1, 0, 'suction'),
    ]
    for one, given in zip(read, plan.ready):
        np.testing.assert_allclose(one.pose, given.pose, atol=1e-5)
        assert (one.chance, one.width_m) == (given.chance, given.width_m)


def test_where_every_part_waits_the_demo_takes_those():
    plan = Plan((pick(1, 0, (2,)), pick(2, 0, (1,))), ())
    answer = as_json(plan, Header())
    assert json.loads(answer)['picks'][0]['waits_for'] == [2]
    assert [one.label for one in picks_of(answer)] == [1, 2]


@pytest.fixture
def look(monkeypatch):
    for name in ('START_S', 'ANSWER_S', 'LABELS_S', 'AGAIN_S'):
        monkeypatch.setattr(node_look, name, 0.1)
    rclpy.init()
    with NodeLook(SimpleNamespace(require_alive=lambda: None, log='segmenter.log')) as made:
        made._planner = SimpleNamespace(service_is_ready=lambda: True)
        yield made
    rclpy.try_shutdown()


FRAME = DepthFrame(np.full((4, 6), 0.5, np.float32), Intrinsics(6, 4, 5.0, 5.0, 2.5, 1.5))


def test_why_the_node_gives_no_picks_is_said(look):
    refused = Trigger.Response(message='the gripper is wider than the bin')
    look._answer = lambda _: refused
    with pytest.raises(DemoError, match=r'within 0\.1 s of a frame \(the gripper is wider'):
        look(FRAME, None, 1, failed=np.zeros((0, 3)))


def test_a_frame_whose_labels_were_lost_is_sent_again(look, monkeypatch):
    sent = []
    original = look._sent

    def send(frame):
        sent.append(original(frame))
        if len(sent) == 2:
            look._keep(to_image(np.ones((4, 6), np.uint16), 'mono16', sent[-1]))
        return sent[-1]

    monkeypatch.setattr(node_look, 'ANSWER_S', 60.0)
    look._sent = send
    plan = Plan((pick(1, 0),), ())
    look._answer = lambda _: Trigger.Response(success=True, message=as_json(plan, sent[-1]))
    sight = look(FRAME, None, 1, failed=np.zeros((0, 3)))
    assert len(sent) == 2
    assert (sight.labels == 1).all()
