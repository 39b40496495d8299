"""~/plan_picks through the node, with a model that has no template."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

pytest.importorskip('rclpy', reason='ROS 2 is not installed')
sys.path.insert(0, str(Path(__file__).parents[1] / 'picks'))
from geometry_msgs.msg import PoseStamped
from rclpy.qos import ReliabilityPolicy
from scenes import CAMERA, FLOOR, HEIGHT, boxes
from std_srvs.srv import Trigger

from insegan_ros.inference import model_card
from insegan_ros.nodes.messages import to_camera_info, to_image
from insegan_ros.parts_bin import Bin

CONFIG = Path(__file__).parents[2] / 'config'
TOPS = {(-0.05, 0.0): 0.03, (0.05, 0.01): 0.04}  # x, y: height above the floor


@pytest.fixture
def planning(bench):
    """The node with the model for any part, and what its service answers to a frame of boxes."""
    bench.node._segmenter = model_card.load_segmenter('any:0.06', 'cpu', Bin(FLOOR, None, None))
    client = bench.user.create_client(Trigger, 'segmenter/plan_picks')
    assert client.wait_for_service(20.0)
    given = [(x, y, 0.04, 0.06, top) for (x, y), top in TOPS.items()]
    frame, _, _ = boxes(*given, rng=np.random.default_rng(0))

    def call():
        before = bench.node._progress.pairs
        bench.send(to_image(frame.depth_m, '32FC1'), to_camera_info(CAMERA))
        assert bench.spin_until(lambda: bench.node._progress.pairs > before)
        future = client.call_async(Trigger.Request())
        assert bench.spin_until(future.done)
        assert future.result().success, future.result().message
        return json.loads(future.result().message)

    return bench, call


def test_the_service_answers_with_a_pick_on_each_part_and_remembers_where_one_failed(planning):
    bench, call = planning
    answer = call()
    assert answer['frame_id'] == 'optical'
    assert not answer['none']
    found = sorted(answer['picks'], key=lambda pick: pick['position'][0])
    for pick, ((x, y), top) in zip(found, TOPS.items(), strict=True):
        np.testing.assert_allclose(pick['position'][:2], [x, y], atol=0.02)
        assert pick['position'][2] == pytest.approx(HEIGHT - top, abs=0.002)
        assert 0 <= pick['chance'] <= 1
    failures = bench.user.create_publisher(PoseStamped, 'segmenter/pick_failed', 10)
    assert bench.spin_until(lambda: failures.get_subscription_count())
    failed = PoseStamped()
    failed.header.frame_id = 'base_link'
    assert "in the frame 'optical'" in bench.node._picking.failed(failed)
    failed.header.frame_id = 'optical'
    failed.pose.position.x, failed.pose.position.y, failed.pose.position.z = found[0]['position']
    failures.publish(failed)
    assert bench.spin_until(lambda: bench.node._picking._failed)
    again = sorted(call()['picks'], key=lambda pick: pick['position'][0])
    moved = np.subtract(again[0]['position'], found[0]['position'])
    assert np.linalg.norm(moved) > 0.006


def test_rviz_shows_topics_that_the_segmenter_has(bench):
    settings = yaml.safe_load((CONFIG / 'segment.rviz').read_text())
    manager = settings['Visualization Manager']
    displays = manager['Displays']
    for display in displays:
        package, _, kind = display['Class'].partition('/')
        assert package == 'rviz_default_plugins'
        assert kind in ('PointCloud2', 'MarkerArray', 'Image', 'TF')
        assert display['Enabled']
        topic = display['Topic']
        assert {*topic} <= {'Value', 'Depth', 'Reliability Policy', 'Durability Policy'}
        types = dict(bench.node.get_topic_names_and_types())[topic['Value']]
        assert [name.rpartition('/')[2] for name in types] == [kind]
        (sender,) = bench.node.get_publishers_info_by_topic(topic['Value'])
        if topic.get('Reliability Policy', 'Reliable') == 'Reliable':  # RViz's own default
            assert sender.qos_profile.reliability is ReliabilityPolicy.RELIABLE
    assert manager['Global Options']['Fixed Frame']
    assert all('Class' in tool for tool in manager['Tools'])
    assert {panel['Class'] for panel in settings['Panels']} >= {'rviz_common/Displays'}
