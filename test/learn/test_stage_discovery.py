"""Where too few parts lie apart to tell their length, discovery goes on with the network's."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from insegan_ros.data.store import Dataset, DatasetInfo
from insegan_ros.data.writer import DatasetWriter
from insegan_ros.discovery.lengths import TooFewPiecesError
from insegan_ros.discovery.search import Search, UnexplainedError
from insegan_ros.inference import model_card
from insegan_ros.learn import stage_discovery
from insegan_ros.learn.config import LearnConfig
from insegan_ros.learn.run_folder import Job
from insegan_ros.learn.stage_discovery import UNEXPLAINED, find_shape
from insegan_ros.learn.start import Start
from insegan_ros.types import Intrinsics


class Knowing(Start):
    """A model that tells a length, or none."""

    length_m: float | None = 0.07

    def finder(self, *_: Any) -> None:
        return None

    def part_length(self, *_: Any) -> float | None:
        return self.length_m


class Silent(Knowing):
    length_m = None


@pytest.fixture
def job(tmp_path: Path) -> Job:
    info = DatasetInfo(part='x', intrinsics=Intrinsics(8, 8, 9.0, 9.0, 4.0, 4.0), source='camera')
    with DatasetWriter(tmp_path / 'bin', info) as writer:
        writer.append(np.ones((8, 8), np.uint16))
    frames = Dataset(tmp_path / 'bin')
    out = tmp_path / 'run'
    return Job(frames=frames, out=out, config=LearnConfig(), seed=0, device='cpu', workers=1)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """The lengths that discovery is told; without one it finds too few pieces."""
    lengths: list[float | None] = []

    def discover(search: Search) -> SimpleNamespace:
        lengths.append(search.part_length_m)
        if search.part_length_m is None:
            raise TooFewPiecesError('only 3 pieces can be told apart')
        if search.part_length_m < 0.05:
            raise UnexplainedError('no shape explains what the frames show', 0.04)
        return SimpleNamespace(account={'residual': 0.2})

    monkeypatch.setattr(stage_discovery, 'discover', discover)
    return lengths


def test_discovery_goes_on_with_the_length_that_the_network_tells(
    job: Job, told: list[float | None]
) -> None:
    assert find_shape(job, Knowing(model_card.find('any')), 1.0) == {'residual': 0.2}
    assert told == [None, 0.07]


def test_where_the_shape_is_not_found_then_either_the_length_is_what_remains(
    job: Job, told: list[float | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Knowing, 'length_m', 0.03)
    figures = find_shape(job, Knowing(model_card.find('any')), 1.0)
    assert figures['part_length_m'] == 0.03
    assert 'no shape' in figures[UNEXPLAINED]
    assert told == [None, 0.03]


def test_what_nobody_can_tell_is_refused_in_words(job: Job, told: list[float | None]) -> None:
    with pytest.raises(TooFewPiecesError, match='only 3 pieces'):
        find_shape(job, Silent(model_card.find('any')), 1.0)
    with pytest.raises(TooFewPiecesError):
        find_shape(job, None, 1.0)
    assert told == [None, None]
