"""Masks drawn by hand are read as their tools meant them, and what cannot be used is named."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn import (
    HEIGHT,
    SQUARE,
    STAR,
    WIDTH,
    bare_dataset,
    coco_file,
    labelme_file,
    only,
    pairs,
    square,
)
from pycocotools import mask as coco

from insegan_ros import cli
from insegan_ros.data.annotations import labels_of_frames, read_annotations
from insegan_ros.data.store import Dataset, DatasetInfo
from insegan_ros.data.writer import DatasetWriter
from insegan_ros.types import Intrinsics


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return bare_dataset(tmp_path)


# --- read as they were meant -------------------------------------------------------------------


def test_a_square_covers_its_pixels_in_every_format(tmp_path: Path) -> None:
    compressed = coco.encode(np.asfortranarray(square().astype(np.uint8)))
    compressed['counts'] = compressed['counts'].decode()
    # column by column: 2 empty columns and 3 pixels, 4 inside, 8 outside, ...
    counts = [2 * HEIGHT + 3, 4, 8, 4, 8, 4, 8, 4]
    counts.append(HEIGHT * WIDTH - sum(counts))
    listed = {'size': [HEIGHT, WIDTH], 'counts': counts}
    png = cv2.imencode('.png', np.full((4, 4), 1, np.uint8))[1]
    drawn = {
        'shape_type': 'mask',
        'points': [[2, 3], [5, 6]],
        'mask': base64.b64encode(png).decode(),
    }
    for path in (
        coco_file(tmp_path / 'polygon.json', [SQUARE]),
        coco_file(tmp_path / 'compressed.json', compressed),
        coco_file(tmp_path / 'listed.json', listed),
        labelme_file(tmp_path / 'labelme.json', {'points': pairs(SQUARE)}),
        labelme_file(tmp_path / 'mask.json', drawn),
    ):
        assert np.array_equal(only(path), square().astype(np.uint16)), path.name


def test_polygons_cover_what_coco_s_own_rasteriser_says(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for k in range(20):
        ring = STAR if k == 0 else (rng.random(8) * np.tile([WIDTH, HEIGHT], 4)).tolist()
        true = coco.decode(coco.merge(coco.frPyObjects([ring], HEIGHT, WIDTH)))
        if not true.any():
            continue
        for path in (
            coco_file(tmp_path / 'coco.json', [ring]),
            labelme_file(tmp_path / 'labelme.json', {'points': pairs(ring)}),
        ):
            assert np.array_equal(only(path), true), ring


def test_run_lengths_are_read_as_coco_writes_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        mask = cv2.resize(rng.integers(0, 2, (5, 4), np.uint8), (WIDTH, HEIGHT), interpolation=0)
        mask ^= rng.random(mask.shape) < rng.choice([0, 0.1])
        written = coco.encode(np.asfortranarray(mask))
        written['counts'] = written['counts'].decode()
        assert np.array_equal(only(coco_file(tmp_path / 'a.json', written)), mask)


def test_pieces_of_one_part_are_one_instance(tmp_path: Path) -> None:
    right = [10, 3, 12, 3, 12, 7, 10, 7]
    grouped = [{'points': pairs(r), 'group_id': 4} for r in (SQUARE, right)]
    for path in (
        coco_file(tmp_path / 'coco.json', [SQUARE, right]),
        labelme_file(tmp_path / 'labelme.json', *grouped),
    ):
        labels = only(path)
        assert labels.max() == 1
        assert labels[5, 3] == labels[5, 11] == 1


def test_of_two_that_overlap_the_later_is_on_top(tmp_path: Path) -> None:
    labels = only(coco_file(tmp_path / 'a.json', [SQUARE], [[4, 3, 8, 3, 8, 7, 4, 7]]))
    assert labels[5].tolist()[:9] == [0, 0, 1, 1, 2, 2, 2, 2, 0]


def test_names_match_whatever_the_folder_and_ending(tmp_path: Path) -> None:
    for name in ('000002.jpg', 'images/000002.png', '..\\depth\\000002.tiff'):
        assert only(labelme_file(tmp_path / 'a.json', {'points': pairs(SQUARE)}, image=name)).any()


def test_a_folder_is_all_its_files_and_unannotated_images_are_left_out(
    tmp_path: Path, dataset: Path
) -> None:
    drawn = tmp_path / 'drawn'
    drawn.mkdir()
    blank = {'id': 8, 'file_name': '000003.png', 'width': WIDTH, 'height': HEIGHT}
    image = {'id': 7, 'file_name': '000001.png', 'width': WIDTH, 'height': HEIGHT}
    coco_file(drawn / 'a.json', [SQUARE], images=[image, blank])
    labelme_file(drawn / 'b.json', {'points': pairs(SQUARE)})
    labels = labels_of_frames(read_annotations(drawn), Dataset(dataset))
    assert sorted(labels) == [1, 2]


# --- evaluate ----------------------------------------------------------------------------------


def boxes(path: Path) -> Path:
    """Five frames of two boxes on a floor, without labels."""
    camera = Intrinsics(120, 100, 200.0, 200.0, 60.0, 50.0)
    with DatasetWriter(path, DatasetInfo('box', camera, 'collector', instances=2)) as writer:
        for k in range(5):
            depth = np.full((100, 120), 500, np.uint16)
            depth[20 + k : 40 + k, 10:40] = 460
            depth[50:70, 60 + k : 90 + k] = 470
            writer.append(depth)
    return path


def test_evaluate_judges_the_frames_with_masks_by_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = boxes(tmp_path / 'boxes')
    drawn = tmp_path / 'drawn'
    drawn.mkdir()
    for k in (1, 3):
        first = [[10, 20 + k], [40, 20 + k], [40, 40 + k], [10, 40 + k]]
        second = [[60 + k, 50], [90 + k, 50], [90 + k, 70], [60 + k, 70]]
        file = labelme_file(
            drawn / f'{k}.json', {'points': first}, {'points': second}, image=f'{k:06d}.png'
        )
        content = json.loads(file.read_text()) | {'imageWidth': 120, 'imageHeight': 100}
        file.write_text(json.dumps(content))
    call = ['evaluate', '--dataset', str(dataset), '--methods', 'kmeans', '--seeds', '1']
    out = tmp_path / 'results'
    assert cli.main([*call, '--masks', str(drawn), '--out', str(out)]) == 0
    results = json.loads((out / 'results.json').read_text())
    text = json.dumps(results)
    assert '2 frames' in text
    assert '4 drawn by hand' in text
    assert 'kmeans' in capsys.readouterr().out
    assert strict_miou(results) > 0.85
    assert cli.main([*call, '--masks', str(tmp_path / 'none.json'), '--out', str(out)]) == 1
    assert 'none.json' in capsys.readouterr().err


def strict_miou(results: dict) -> float:
    """Wherever the report puts it."""
    stack: list = [results]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if 'strict_miou' in item and isinstance(item['strict_miou'], float):
                return item['strict_miou']
            stack += item.values()
        elif isinstance(item, list):
            stack += item
    raise KeyError('strict_miou')
