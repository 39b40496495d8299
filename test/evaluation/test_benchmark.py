"""The benchmark judges what it should, says the same whoever computes, and needs no labels."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from boxes import CAMERA, make_dataset

from insegan_ros import cli
from insegan_ros.baselines import METHODS
from insegan_ros.camera import Plane, segmentation_from_labels
from insegan_ros.data.store import Dataset
from insegan_ros.data.writer import DatasetWriter
from insegan_ros.evaluation.benchmark import (
    benchmark,
    default_methods,
    make_segmenter,
    nothing,
    rerendering_error_mm,
)
from insegan_ros.evaluation.figures import FrameFigures, Run
from insegan_ros.evaluation.pictures import SIDE, chosen_frames
from insegan_ros.evaluation.report import aligned, markdown, short_names, write_report
from insegan_ros.parts_bin import Bin
from insegan_ros.types import DepthFrame, Segmentation

BIN = Bin(Plane((0.0, 0.0, -1.0), 0.5))


def table_of(told: str) -> list[list[str]]:
    """The rows of the Markdown table in a text, without the rule below its heading."""
    rows = [line.strip('|').split('|') for line in told.splitlines() if line.startswith('| ')]
    return [[text.strip() for text in row] for row in rows]


def without_times(runs: list[Run]) -> list[dict[str, float]]:
    return [{k: v for k, v in r.summary().items() if k != 'milliseconds'} for r in runs]


def test_boxes_that_stand_apart_are_found_and_judged_so(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / 'd', 5)
    (run,) = benchmark(dataset, ['kmeans'], dataset.indices, seeds=1, instances=3, parts_bin=BIN)
    summary = run.summary()
    assert summary['strict_miou'] > 0.9
    assert summary['average_precision'] > 0.9
    assert summary['count_accuracy'] == 1
    assert summary['false_positives'] == summary['failed_frames'] == 0


def test_figures_do_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / 'd', 52)
    one, two = (
        benchmark(
            dataset,
            ['kmeans'],
            dataset.indices,
            seeds=1,
            instances=3,
            parts_bin=BIN,
            workers=workers,
        )
        for workers in (1, 2)
    )
    np.testing.assert_equal(without_times(one), without_times(two))


def test_a_frame_without_a_bin_counts_as_an_empty_result(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / 'd', 2)
    with DatasetWriter(dataset.path, dataset.info) as writer:
        labels = np.zeros((100, 120), np.uint8)
        labels[10:20, 10:20] = 1
        writer.append(np.zeros((100, 120), np.uint16), labels)
    dataset = Dataset(dataset.path)
    (run,) = benchmark(dataset, ['kmeans'], [2], seeds=1, instances=3)
    assert run.summary()['failed_frames'] == 1
    assert run.summary()['strict_miou'] == 0
    assert 'nothing could be segmented in 1 frames' in markdown([run])
    assert 'the first: only 0 of 12000 pixels are measured' in markdown([run])


class GivesUp:
    """A method that cannot say anything about the second frame."""

    part_length_m = parts_bin = misfit = None

    def __init__(self) -> None:
        self.calls = 0

    def segment(self, frame: DepthFrame, **_: float) -> Segmentation:
        self.calls += 1
        if self.calls == 2:
            raise ValueError('1 frames do not show how long the part is')
        return segmentation_from_labels(frame, np.where(frame.depth_m < 0.49, 1, 0))


def test_a_frame_on_which_a_method_gives_up_costs_that_frame_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = make_dataset(tmp_path / 'd', 3)
    monkeypatch.setattr(
        'insegan_ros.evaluation.benchmark.make_segmenter',
        lambda method, *_, **__: GivesUp() if method == 'any' else make_segmenter(method, 3, BIN),
    )
    runs = benchmark(dataset, ['any', 'kmeans'], dataset.indices, seeds=1, parts_bin=BIN)
    assert [run.summary()['failed_frames'] for run in runs] == [1, 0]
    assert [bool(f.failed) for f in runs[0].frames] == [False, True, False]
    assert np.isfinite(runs[0].frames[0].strict_miou)
    assert 'how long the part is' in write_report(tmp_path / 'o', runs, {})
    told = json.loads((tmp_path / 'o/results.json').read_text())['runs'][0]['frames']
    assert told[1]['failed'] == '1 frames do not show how long the part is'


def test_the_rerendering_error_is_worked_by_hand() -> None:
    depth = np.full((100, 120), 0.5, np.float32)
    depth[10:20, 10:20] = 0.47  # a part 30 mm high, 100 px
    frame = DepthFrame(depth, CAMERA)
    labels = np.zeros((100, 120), np.int32)
    labels[10:20, 10:15] = 1
    assert rerendering_error_mm(frame, nothing(frame), BIN) == pytest.approx(30, abs=1e-2)
    half = segmentation_from_labels(frame, labels)  # what it renders is what was measured
    assert rerendering_error_mm(frame, half, BIN) == pytest.approx(15, abs=1e-2)


def test_the_command_writes_table_json_and_plot(tmp_path: Path, capsys) -> None:
    make_dataset(tmp_path / 'd', 2)
    arguments = ['evaluate', '--dataset', str(tmp_path / 'd'), '--out', str(tmp_path / 'o')]
    assert cli.main([*arguments, '--methods', 'kmeans,felzenszwalb', '--seeds', '2']) == 0
    rows = table_of(capsys.readouterr().out)
    assert [row[0] for row in rows] == ['method', 'kmeans', 'felzenszwalb']
    assert rows[0][1:3] == ['paper mIoU', 'strict mIoU']
    loaded = json.loads((tmp_path / 'o/results.json').read_text())
    assert [(r['method'], r['seed']) for r in loaded['runs']] == [
        ('kmeans', 0),
        ('kmeans', 1),
        ('felzenszwalb', 0),
        ('felzenszwalb', 1),
    ]
    assert len(loaded['runs'][0]['frames']) == 2
    assert (tmp_path / 'o/results.png').stat().st_size > 1000
    scenes = cv2.imread(str(tmp_path / 'o/scenes.png'))
    assert scenes.shape == (4 * SIDE, 2 * SIDE, 3)  # depth, two methods, truth; two frames


def test_a_dataset_without_labels_has_speeds_but_no_mious(tmp_path: Path, capsys) -> None:
    dataset = make_dataset(tmp_path / 'd', 3, labelled=False)
    arguments = ['evaluate', '--dataset', str(dataset.path), '--out', str(tmp_path / 'o')]
    assert cli.main([*arguments, '--methods', 'kmeans', '--seeds', '1']) == 0
    told = capsys.readouterr().out
    assert table_of(told)[0] == ['method', 'ms/image']
    assert 'No frame has labels' in told
    assert (tmp_path / 'o/results.png').stat().st_size > 1000
    assert cv2.imread(str(tmp_path / 'o/scenes.png')).shape == (2 * SIDE, 3 * SIDE, 3)
    assert 'labels: in 0 of 3 frames' in (tmp_path / 'o/results.md').read_text()
    assert cli.main([*arguments, '--make-splits']) == 1
    assert 'has no labels' in capsys.readouterr().err


class FloorRenderer:
    """Renders the first box 2 mm too near; finds nothing in every second frame."""

    def __init__(self) -> None:
        self.calls = 0

    part_length_m = None
    parts_bin = None
    misfit = None

    def segment(self, frame: DepthFrame, **_: float) -> Segmentation:
        self.calls += 1
        if self.calls % 2 == 0:
            return nothing(frame)
        labels = np.where(frame.depth_m < 0.49, 1, 0)
        labels[:, 50:] = 0
        found = segmentation_from_labels(frame, labels)
        return replace(found, rendered_depth=found.rendered_depth - np.float32(0.002))


def test_only_methods_that_render_have_a_rerendering_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = make_dataset(tmp_path / 'd', 4, labelled=False)
    made = {'renderer': FloorRenderer, 'repeater': lambda: make_segmenter('kmeans', 3, BIN)}
    monkeypatch.setattr(
        'insegan_ros.evaluation.benchmark.make_segmenter', lambda method, *_, **__: made[method]()
    )
    runs = benchmark(dataset, list(made), dataset.indices, seeds=1, instances=3, parts_bin=BIN)
    renderer, repeater = (run.summary()['rerendering_mm'] for run in runs)
    assert np.isnan(repeater)
    assert 5 < renderer < 40  # two of three boxes stay floor; in every other frame all of them
    errors = [f.rerendering_mm for f in runs[0].frames]
    empty = [f.empty_bin_mm for f in runs[0].frames]
    assert errors[1::2] == empty[1::2]  # nothing found
    assert np.less(errors[::2], empty[::2]).all()
    assert f'of an empty bin is {np.mean(empty):.2f} mm' in markdown(runs)
    rows = table_of(markdown(runs))
    assert rows[0] == ['method', 're-rendering, mm', 'ms/image']
    assert [row[:2] for row in rows[1:]] == [['renderer', f'{renderer:.2f}'], ['repeater', '-']]
    assert 'no re-rendering error: repeater.' in markdown(runs)


def test_the_distilled_model_repeats_what_it_measured_and_has_no_error(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / 'd', 1, labelled=False)
    (run,) = benchmark(dataset, ['nut'], dataset.indices, seeds=1, instances=3, parts_bin=BIN)
    assert np.isnan(run.summary()['rerendering_mm'])


def test_methods_named_twice_are_computed_once(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / 'd', 2)
    (run,) = benchmark(
        dataset, ['kmeans', 'kmeans'], dataset.indices, seeds=1, instances=3, parts_bin=BIN
    )
    assert len(run.frames) == 2


def test_only_some_frames_may_have_labels(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / 'd', 2)
    (dataset.path / 'labels/000001.png').unlink()
    runs = benchmark(dataset, ['kmeans'], dataset.indices, seeds=1, instances=3, parts_bin=BIN)
    first = benchmark(dataset, ['kmeans'], [0], seeds=1, instances=3, parts_bin=BIN)
    np.testing.assert_equal(without_times(runs), without_times(first))
    write_report(tmp_path / 'o', runs, {'split': 'all'})
    assert 'labels: in 1 of 2 frames' in (tmp_path / 'o/results.md').read_text()


def test_models_are_told_apart_by_as_much_of_their_path_as_it_takes() -> None:
    methods = ['kmeans', '/a/nut/model', '/a/bolt/model', '/b/bolt/model', 'models/nut']
    names = list(short_names(methods).values())
    assert names == ['kmeans', 'nut/model', 'a/bolt/model', 'b/bolt/model', 'models/nut']


def test_the_table_reads_as_plain_text() -> None:
    lines = aligned([['method', 'a'], ['long name', '0.1'], ['x', '0.123']])
    assert lines == [
        '| method    | a     |',
        '|-----------|-------|',
        '| long name | 0.1   |',
        '| x         | 0.123 |',
    ]


def test_without_methods_the_classical_ones_and_the_part_s_own_models_are_compared() -> None:
    assert default_methods('nut') == [*METHODS, 'insegan_nut', 'nut']
    assert default_methods('box') == list(METHODS)


def test_without_a_folder_the_results_lie_under_the_dataset_s_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_dataset(tmp_path / 'boxes', 2)
    monkeypatch.chdir(tmp_path)
    assert cli.main(['evaluate', '--dataset', 'boxes', '--methods', 'kmeans']) == 0
    assert (tmp_path / 'results/boxes.all/results.md').exists()


@pytest.mark.parametrize(
    ('wrong', 'message'),
    [
        (['--methods', 'kmean'], "no model 'kmean'"),
        (['--methods', ','], '--methods names no method'),
        (['--split', 'exam'], "no split 'exam'; it has all"),
        (['--limit', '0'], 'at least 1 is expected'),
    ],
)
def test_wrong_arguments_are_named(tmp_path: Path, capsys, wrong: list[str], message: str) -> None:
    make_dataset(tmp_path / 'd', 1)
    arguments = ['evaluate', '--dataset', str(tmp_path / 'd'), '--out', str(tmp_path / 'o')]
    assert cli.main([*arguments, *wrong]) == 1
    assert message in capsys.readouterr().err


def test_pictured_frames_go_from_the_worst_to_the_best() -> None:
    scores = [0.5, 0.1, 0.9, 0.3, 0.7]
    frames = [FrameFigures(10 + k, 1.0, '', strict_miou=s) for k, s in enumerate(scores)]
    assert chosen_frames(Run('m', 0, tuple(frames)), 3) == [11, 10, 12]
    assert chosen_frames(Run('m', 0, tuple(frames[:1])), 3) == [10]
