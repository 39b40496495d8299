"""The models that come with the package load, are small, say where they come from, and work."""

from __future__ import annotations

import numpy as np
import pytest

from insegan_ros.evaluation.metrics import strict_miou
from insegan_ros.inference import model_card
from insegan_ros.synthetic.generate import SceneConfig, make_scene

MODELS = model_card.available()


@pytest.mark.parametrize('name', MODELS)
def test_a_model_is_small_and_its_card_tells_its_origin(name: str) -> None:
    folder = model_card.find(name)
    card = model_card.read_card(folder)
    assert (folder / model_card.WEIGHTS).stat().st_size <= 4e6
    for key in ('labels_used', 'dataset', 'training', 'figures'):
        assert card[key], f'{name}: no {key}'


@pytest.mark.parametrize('name', MODELS)
def test_a_model_segments_scenes_that_it_has_not_seen(name: str) -> None:
    part = model_card.read_card(model_card.find(name))['part']
    segmenter = model_card.load_segmenter(name)
    scores = []
    for k in range(6):
        scene = make_scene(SceneConfig(part=part), (12345, k))
        scores.append(strict_miou(segmenter.segment(scene.frame).labels, scene.labels))
    assert np.mean(scores) > 0.55
