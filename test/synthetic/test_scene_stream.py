"""Scenes ahead of time: the same ones whoever asks, and failures that are told."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

from insegan_ros.depth_camera import D435
from insegan_ros.synthetic.scene_stream import BinConfig, SceneStream, SimulatedBin
from insegan_ros.types import Intrinsics

SMALL = Intrinsics(width=212, height=120, fx=D435.fx / 4, fy=D435.fy / 4, cx=105.5, cy=59.5)


def test_the_stream_shows_the_scenes_of_its_numbers() -> None:
    config = BinConfig(part='nut', instances=3, seed=5, intrinsics=SMALL, exposures=2)
    stream = SceneStream(config)
    streamed = [stream.take() for _ in range(2)]
    stream.close()
    simulated = SimulatedBin(config)
    simulated.drop(1)
    alone = simulated.photograph(np.random.default_rng(0))
    assert np.array_equal(streamed[1].labels, alone.labels)
    assert np.allclose(streamed[1].poses, alone.poses)
    assert streamed[0].depth.shape == (2, 120, 212)
    assert (streamed[0].depth[0] != streamed[0].depth[1]).any()
    assert not np.array_equal(streamed[0].labels, streamed[1].labels)


def test_a_camera_stays_where_it_is_from_scene_to_scene() -> None:
    config = BinConfig(instances=0, tilt_degrees=30, noise=None, intrinsics=SMALL)
    simulated = SimulatedBin(config)
    images = []
    for number in range(2):
        simulated.drop(number)
        images.append(simulated.photograph(np.random.default_rng(number)).depth)
    assert np.array_equal(*images)


def test_more_parts_than_five_have_as_much_floor_each() -> None:
    areas = {n: BinConfig(instances=n).make()[1].width ** 2 / max(n, 5) for n in (1, 5, 8, 40)}
    assert list(areas.values()) == pytest.approx([areas[5]] * 4)
    assert BinConfig(instances=40, bin_width=0.2).make()[1].width == pytest.approx(0.2)


@pytest.mark.parametrize(
    'wrong', [{'part': 'banana'}, {'instances': -1}, {'tilt_degrees': 90}, {'bin_width': 0.01}]
)
def test_what_is_out_of_range_is_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match='valid'):
        BinConfig(**wrong)


def test_a_process_that_fails_tells_why() -> None:
    """Four nuts do not fit where one does, and the caller learns it from the process."""
    stream = SceneStream(BinConfig(bin_width=0.05, instances=4, intrinsics=SMALL))
    with pytest.raises(RuntimeError, match='do not fit'):
        stream.take()
    stream.close()


def test_a_process_that_died_is_told_every_time() -> None:
    stream = SceneStream(BinConfig(instances=1, intrinsics=SMALL, exposures=1))
    stream.take()
    stream._process.kill()
    for _ in range(3):  # one scene may have been under way
        with contextlib.suppress(RuntimeError):
            stream.take()
    with pytest.raises(RuntimeError, match='died'):
        stream.take()
    stream.close()
