"""The models that come with the package load, are small, say where they come from, and work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from insegan_ros import config
from insegan_ros.evaluation.metrics import strict_miou
from insegan_ros.inference import model_card
from insegan_ros.inference.distilled_card import DistilledCard
from insegan_ros.inference.insegan import InSeGANCard
from insegan_ros.parts_bin import FindingConfig
from insegan_ros.synthetic.generate import SceneConfig, make_scene
from insegan_ros.synthetic.parts import make_part

MODELS = model_card.available()


@pytest.mark.parametrize('name', MODELS)
def test_a_model_is_small_and_its_card_tells_its_origin(name: str) -> None:
    folder = model_card.find(name)
    card = model_card.read_card(folder)
    assert (folder / model_card.WEIGHTS).stat().st_size <= 6e6
    for key in ('labels_used', 'dataset', 'training', 'figures'):
        assert card[key], f'{name}: no {key}'


@pytest.mark.parametrize('name', MODELS)
def test_a_model_finds_bins_by_the_present_settings(name: str) -> None:
    card = model_card.read_card(model_card.find(name))
    if card['method'] == 'insegan3d':
        finding = config.from_mapping(InSeGANCard, card['settings']).crop.finding
    else:
        finding = config.from_mapping(DistilledCard, card['settings']).finding
    assert finding == FindingConfig()


@pytest.mark.parametrize('name', [name for name in MODELS if name != model_card.ANY])
def test_a_model_segments_scenes_that_it_has_not_seen(name: str) -> None:
    card = model_card.read_card(model_card.find(name))
    least = 0.35 if card['method'] == 'insegan3d' else 0.5
    assert mean_strict_miou(name, card['part']) > least


@pytest.mark.parametrize('part', ['bolt', 'cylinder', 'elbow'])
def test_any_segments_parts_that_it_has_not_seen_told_their_length(part: str) -> None:
    assert mean_strict_miou(f'any:{make_part(part).length:.3f}', part) > 0.5


def mean_strict_miou(model: str, part: str) -> float:
    segmenter = model_card.load_segmenter(model)
    scenes = [make_scene(SceneConfig(part=part), (12345, k)) for k in range(6)]
    found = [segmenter.segment(scene.frame).labels for scene in scenes]
    return float(np.mean([strict_miou(f, scene.labels) for f, scene in zip(found, scenes)]))


@pytest.mark.parametrize(
    ('content', 'said'),
    [
        (b'method: distilled\nsettings:\n', 'a mapping is expected'),
        (b'method: distilled\nsettings: 3\n', 'a mapping is expected'),
        (b'method: \xff', 'cannot be read'),
        (b'- 1', 'a mapping is expected'),
    ],
)
def test_a_card_that_is_damaged_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    weights = model_card.find(MODELS[0]) / model_card.WEIGHTS
    (tmp_path / model_card.WEIGHTS).write_bytes(weights.read_bytes())
    (tmp_path / model_card.CARD).write_bytes(content)
    with pytest.raises(model_card.ModelError, match=said) as error:
        model_card.load_segmenter(str(tmp_path))
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize('length', ['abc', '', '5cm', '0,056'])
def test_a_length_that_is_no_number_is_named_with_an_example(length: str) -> None:
    with pytest.raises(model_card.ModelError, match=f"'{length}' is no length.*0.056"):
        model_card.load_segmenter(f'any:{length}')
