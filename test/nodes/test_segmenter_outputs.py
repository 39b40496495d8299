from __future__ import annotations

import pytest

pytest.importorskip('rclpy')

from insegan_ros.nodes.segmenter_outputs import LARGE, drained_s


def test_only_large_messages_are_waited_for_and_longer_the_larger_they_are() -> None:
    assert drained_s(0) == drained_s(LARGE) == 0
    assert 0.01 < drained_s(20_000_000) < drained_s(65_000_000) < 0.1
