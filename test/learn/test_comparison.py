"""`insegan train` keeps the better of its model and the one it began with, and says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from insegan_ros.data.store import Dataset, DatasetInfo, to_units
from insegan_ros.data.writer import DatasetWriter
from insegan_ros.inference import model_card
from insegan_ros.inference.distilled import DistilledSegmenter
from insegan_ros.inference.distilled_card import with_usual_misfit
from insegan_ros.inference.found import Found
from insegan_ros.learn import stage_comparison
from insegan_ros.learn.config import LearnConfig
from insegan_ros.learn.run_folder import Job
from insegan_ros.learn.stage_comparison import (
    BEGUN_WITH,
    LEARNED,
    comparison_stages,
    ending,
    usual_misfit,
)
from insegan_ros.learn.stages import run_stages
from insegan_ros.learn.start import Start
from insegan_ros.parts_bin import Bin
from insegan_ros.synthetic.generate import SceneConfig, make_scene
from insegan_ros.types import DepthFrame, Intrinsics

CAMERA = Intrinsics(96, 80, 300.0, 300.0, 47.5, 39.5)


class Cutting(DistilledSegmenter):
    """It finds what stands in the bin, cut into so many pieces, the first one narrower."""

    def __init__(self, pieces: int) -> None:
        self._pieces, self.poses = pieces, ()

    def find(self, frame: DepthFrame, parts_bin: Bin | None = None) -> Found:
        part = frame.depth_m < 0.48
        columns = np.flatnonzero(part.any(axis=0))
        place = np.zeros(frame.depth_m.shape[1], int)
        place[columns] = np.arange(len(columns))
        cuts = [0.3 * len(columns)] * (self._pieces - 1)
        labels = np.where(part, 1 + np.searchsorted(cuts, place)[None], 0).astype(np.int32)
        n = self._pieces
        ones = np.ones(n, np.float32)
        return Found(labels, np.zeros((n, 3)), ones, ones, np.ones(n, np.int64))


class Known(Start):
    """A model of any part that finds whole parts."""

    def part_length(self, *_: Any) -> float | None:
        return 0.05

    def told(self, *_: Any) -> DistilledSegmenter | None:
        return Cutting(1)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    depth = np.full((80, 96), 0.5, np.float32)
    depth[30:50, 30:60] = 0.46
    with DatasetWriter(
        tmp_path / 'bin', DatasetInfo(part='box', intrinsics=CAMERA, source='camera')
    ) as writer:
        for _ in range(2):
            writer.append(to_units(depth, 0.001))
    job = Job(
        frames=Dataset(tmp_path / 'bin'),
        out=tmp_path / 'run',
        config=LearnConfig(),
        seed=0,
        device='cpu',
        workers=1,
    )
    job.out.mkdir()
    job.report.add('network', steps=7, seconds=1)
    settings = model_card.read_card(model_card.find('any'))['settings']
    model_card.save_model(job.model, {'method': 'distilled', 'settings': settings}, {})
    return job


@pytest.mark.parametrize(('pieces', 'kept'), [(1, LEARNED), (2, BEGUN_WITH)])
def test_the_better_model_is_kept_once_and_the_card_and_the_end_say_which(
    job: Job, monkeypatch: pytest.MonkeyPatch, pieces: int, kept: str
) -> None:
    judged = []

    def loaded(*_: Any) -> DistilledSegmenter:
        judged.append(1)
        return Cutting(pieces)

    monkeypatch.setattr(model_card, 'load_segmenter', loaded)
    monkeypatch.setattr(stage_comparison, 'show_segmented', lambda *_, **__: None)
    start = Known(model_card.find('any'))
    for _ in range(2):
        run_stages(comparison_stages(job, start), 60.0, job.report)
    assert len(judged) == 1
    card = model_card.read_card(job.model)
    assert card['comparison']['kept'] == job.report.of('comparison')['kept'] == kept
    assert card['comparison'][BEGUN_WITH]['worth'] == pytest.approx(1, abs=0.03)
    aside = job.out / LEARNED / model_card.CARD
    assert aside.exists() == (kept == BEGUN_WITH)
    said = ending(job)
    assert 'without labels, on 2 frames' in said
    assert ('the learned one is kept' if kept == LEARNED else str(job.out / LEARNED)) in said
    job.report.add('network', steps=9, seconds=2)  # it learned more: compared anew
    assert not stage_comparison.is_compared(job)


def test_without_frames_or_a_model_to_begin_with_nothing_is_compared(job: Job) -> None:
    start = Known(model_card.find('any'))
    assert comparison_stages(job, start)
    assert comparison_stages(job, None) == []
    assert comparison_stages(replace(job, frames=None), start) == []
    assert comparison_stages(replace(job, config=LearnConfig(compared=0)), start) == []
    assert ending(job) == ''


@pytest.mark.parametrize(
    ('worse_by', 'misfit', 'stays'),
    [(0.04, 0.5, True), (0.06, 0.5, False), (0.04, None, True), (0.04, 0.7, False)],
)
def test_what_the_poses_are_worth_ends_where_the_template_does_not_fit(
    worse_by: float, misfit: float | None, stays: bool
) -> None:
    learned = {'worth': 0.8 - worse_by} | ({} if misfit is None else {'template_misfit': misfit})
    assert stage_comparison._is_good_enough(learned, {'worth': 0.8}) == stays


def test_a_model_of_a_mesh_is_kept_for_its_poses(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_card, 'load_segmenter', lambda *_: Cutting(2))
    of_mesh = replace(job, config=LearnConfig(mesh='part.stl'))
    figures = stage_comparison.keep_the_better(of_mesh, Known(model_card.find('any')))
    assert figures['kept'] == LEARNED
    assert 'but is no better' in ending(of_mesh)


def test_what_poses_cost_on_the_parts_own_frames_is_written_on_its_card_as_usual() -> None:
    card = model_card.read_card(model_card.find('nut'))
    frames = [make_scene(SceneConfig(part='nut'), (4, k)).frame for k in range(2)]
    cost = usual_misfit(model_card.load_segmenter('nut'), frames)
    assert cost == pytest.approx(card['settings']['usual_misfit'], rel=0.3)
    written = with_usual_misfit(card, 0.31234)
    assert written['usual_misfit'] == 0.312
    assert with_usual_misfit({'settings': written}, 0.312) == written
    assert usual_misfit(model_card.load_segmenter('any:0.056'), frames) is None
