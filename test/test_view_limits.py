"""What lies outside a window or too far away does not count, for any segmenter."""

from __future__ import annotations

import numpy as np
import pytest

from insegan_ros import baselines
from insegan_ros.synthetic.generate import SceneConfig, make_scene
from insegan_ros.view_limits import ViewLimits, limited, parse_region


def test_nothing_is_found_outside_the_window() -> None:
    scene = make_scene(SceneConfig(part='nut'), 0)
    height, width = scene.frame.depth_m.shape
    region = (0, 0, width // 2, height)
    whole = baselines.make('kmeans', 5).segment(scene.frame)
    half = limited(baselines.make('kmeans', 5), ViewLimits(region)).segment(scene.frame)
    assert whole.labels[:, width // 2 :].any()
    assert half.labels.any()
    assert not half.labels[:, width // 2 :].any()


def test_what_is_too_far_is_not_measured() -> None:
    scene = make_scene(SceneConfig(part='nut'), 0)
    near = ViewLimits(max_depth_m=float(np.nanmedian(scene.frame.depth_m))).applied(scene.frame)
    assert np.nanmax(near.depth_m) <= np.nanmedian(scene.frame.depth_m)
    with pytest.raises(ValueError, match='nothing is measured'):
        ViewLimits(max_depth_m=0.01).applied(scene.frame)


def test_without_limits_the_segmenter_is_itself() -> None:
    segmenter = baselines.make('kmeans', 5)
    assert limited(segmenter, ViewLimits()) is segmenter


@pytest.mark.parametrize('text', ['1,2,3', 'a,b,c,d', '-1,0,5,5', '0,0,0,5'])
def test_a_window_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match='region'):
        parse_region(text)
    with pytest.raises(ValueError, match='max_depth'):
        ViewLimits(max_depth_m=-1.0)


def test_a_window_is_read() -> None:
    assert parse_region('1,2,30,40') == (1, 2, 30, 40)
