from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='the demo talks to a ROS 2 node')
from std_msgs.msg import Header

from insegan_ros.demos.node_look import picks_of
from insegan_ros.nodes.pick_messages import as_json
from insegan_ros.picks.pick import Cues, Pick, tool_pose
from insegan_ros.picks.planner import Plan

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
