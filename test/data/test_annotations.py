"""Masks drawn by hand are read as their tools meant them, and what cannot be used is named."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco

from insegan_ros import cli
from insegan_ros.data.annotations import (
    AnnotatedImage,
    AnnotationError,
    Unusable,
    labels_of_frames,
    read_annotations,
)
from insegan_ros.data.store import Dataset, DatasetInfo
from insegan_ros.data.writer import DatasetWriter
from insegan_ros.types import Intrinsics

HEIGHT, WIDTH = 12, 16
SQUARE = [2, 3, 6, 3, 6, 7, 2, 7]  # x from 2 to 6, y from 3 to 7: 4 x 4 pixels
STAR = [8.2, 1.1, 9.7, 4.9, 14.3, 5.2, 10.6, 7.4, 12.9, 11.3, 8.1, 8.6, 3.4, 11.2, 5.8, 7.1]


def square() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[3:7, 2:6] = True
    return mask


def coco_file(path: Path, *segmentations: object, name: str = '000002.png', **other) -> Path:
    image = {'id': 7, 'file_name': name, 'width': WIDTH, 'height': HEIGHT}
    annotations = [
        {'id': k, 'image_id': 7, 'category_id': 1, 'segmentation': s}
        for k, s in enumerate(segmentations, 1)
    ]
    content = {'images': [image], 'annotations': annotations, 'categories': [], **other}
    path.write_text(json.dumps(content))
    return path


def labelme_file(path: Path, *shapes: dict, image: str = '000002.png') -> Path:
    size = {'imageHeight': HEIGHT, 'imageWidth': WIDTH}
    shapes_ = [{'label': 'nut', 'shape_type': 'polygon', 'group_id': None} | s for s in shapes]
    content = {'version': '5.5.0', 'flags': {}, 'shapes': shapes_, 'imagePath': image, **size}
    path.write_text(json.dumps(content))
    return path


def pairs(flat: list) -> list:
    return np.reshape(flat, (-1, 2)).tolist()


def only(path: Path) -> np.ndarray:
    (image,) = read_annotations(path).values()
    assert image.name == '000002'
    return image.labels


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Four frames without labels."""
    camera = Intrinsics(WIDTH, HEIGHT, 20.0, 20.0, 8.0, 6.0)
    path = tmp_path / 'bin'
    with DatasetWriter(path, DatasetInfo('nut', camera, 'collector')) as writer:
        for _ in range(4):
            writer.append(np.full((HEIGHT, WIDTH), 500, np.uint16))
    return path


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


# --- refused with a reason ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ('segmentation', 'said'),
    [
        (None, 'no segmentation'),
        ([], 'no segmentation'),
        ([[1, 1, 5, 5]], 'three points'),
        ([[1, 1, 5, 5, 3, 4, 2]], 'three points'),
        ({'size': [WIDTH, HEIGHT], 'counts': [HEIGHT * WIDTH]}, '12 x 16 px, the image 16 x 12'),
        ({'size': [HEIGHT, WIDTH], 'counts': [5, 5]}, 'cover 10 pixels'),
        ({'size': [HEIGHT, WIDTH], 'counts': 'zzzz'}, 'run lengths'),
        ({'size': [HEIGHT, WIDTH], 'counts': 'o' * 99}, 'damaged'),
        ({'size': [HEIGHT, WIDTH], 'counts': ''}, 'cover 0 pixels'),
        ([[20, 20, 30, 20, 30, 23]], 'outside the image'),
        ([[-160, -220, 2e8, 3.5e8, 220, 230]], 'reaches to 3.5e'),
    ],
)
def test_a_mask_that_is_none_is_named(tmp_path: Path, segmentation: object, said: str) -> None:
    with pytest.raises(AnnotationError, match=said) as error:
        read_annotations(coco_file(tmp_path / 'a.json', segmentation))
    assert 'a.json' in str(error.value)


def test_one_annotation_that_is_none_costs_itself_alone(tmp_path: Path) -> None:
    right = [10, 3, 12, 3, 12, 7, 10, 7]
    wild = [-160, -220, 2e8, 3.5e8, 220, 230]
    for broken in (
        None,
        [],
        [[5, 5]],
        [wild],
        {'size': [1, 1], 'counts': [1]},
        'text',
        [['x'] * 6],
    ):
        unusable = Unusable()
        path = coco_file(tmp_path / 'a.json', [SQUARE], broken, [right])
        (image,) = read_annotations(path, unusable).values()
        assert image.labels.max() == 2, broken
        assert (unusable.annotations.count, unusable.images.count) == (1, 0), broken
        assert 'annotation 2' in unusable.annotations.reasons[0]


def test_a_stray_click_beside_a_good_ring_does_not_count(tmp_path: Path) -> None:
    unusable = Unusable()
    read_annotations(coco_file(tmp_path / 'a.json', [SQUARE, [14.0, 1.0]]), unusable)
    assert not unusable.annotations
    assert np.array_equal(only(coco_file(tmp_path / 'a.json', [SQUARE, [14.0, 1.0]])), square())


def test_a_ring_that_is_not_nested_is_one_ring(tmp_path: Path) -> None:
    assert np.array_equal(only(coco_file(tmp_path / 'a.json', SQUARE)), square())


def test_a_part_hidden_by_others_is_left_out_and_the_rest_are_numbered_anew(
    tmp_path: Path,
) -> None:
    unusable = Unusable()
    (image,) = read_annotations(
        coco_file(tmp_path / 'a.json', [SQUARE], [SQUARE]), unusable
    ).values()
    assert image.labels.max() == 1
    assert 'later ones hide it' in unusable.annotations.reasons[0]


def test_a_shape_that_is_no_area_is_named(tmp_path: Path) -> None:
    circle = {'shape_type': 'circle', 'points': [[5, 5], [7, 5]]}
    with pytest.raises(AnnotationError, match=r'shape 1 \(nut\) is left out: it is a circle'):
        read_annotations(labelme_file(tmp_path / 'a.json', circle))


@pytest.mark.parametrize(
    ('content', 'said'),
    [
        ('{"version": "1.0", "regions": {}}', 'neither COCO'),
        ('[1, 2]', 'neither COCO'),
        ('not json', 'no JSON'),
        ('{"images": [{"id": 1}], "annotations": [{"image_id": 1}]}', 'damaged'),
        ('{"images": [], "annotations": [{"image_id": 1}]}', 'absent'),
        ('{"images": [], "annotations": []}', 'annotates no image'),
    ],
)
def test_another_format_is_named(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / 'a.json').write_text(content)
    with pytest.raises(AnnotationError, match=said):
        read_annotations(tmp_path / 'a.json')


def test_an_absent_file_and_an_empty_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match='there is no'):
        read_annotations(tmp_path / 'absent.json')
    with pytest.raises(AnnotationError, match=r'holds no \.json'):
        read_annotations(tmp_path)


def test_of_an_image_drawn_twice_the_second_is_left_out_with_both_files(tmp_path: Path) -> None:
    coco_file(tmp_path / 'a.json', [SQUARE])
    labelme_file(tmp_path / 'b.json', {'points': pairs(SQUARE)})
    unusable = Unusable()
    (image,) = read_annotations(tmp_path, unusable).values()
    assert image.file.name == 'a.json'
    (reason,) = unusable.images.reasons
    assert 'a.json' in reason
    assert 'b.json' in reason


def test_files_of_a_folder_that_are_damaged_or_a_mac_s_cost_themselves_alone(
    tmp_path: Path,
) -> None:
    coco_file(tmp_path / 'a.json', [SQUARE])
    (tmp_path / '._a.json').write_bytes(b'\0\5\x16\7\xb0')
    (tmp_path / 'b.json').write_text('{"images": [')
    (tmp_path / 'c.json').write_text('{"version": 3}')
    unusable = Unusable()
    assert list(read_annotations(tmp_path, unusable)) == ['000002']
    assert unusable.images.count == 2
    assert 'b.json' in unusable.images.reasons[0]


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = coco_file(tmp_path / 'a.json', [SQUARE])
    path.write_bytes(b'\xef\xbb\xbf' + path.read_bytes())
    assert only(path).any()


def test_images_that_are_no_frames_are_named_beside_frames(tmp_path: Path, dataset: Path) -> None:
    annotated = read_annotations(coco_file(tmp_path / 'a.json', [SQUARE], name='bin_07.png'))
    with pytest.raises(AnnotationError, match=r'none of the 1 .*000000.*bin_07'):
        labels_of_frames(annotated, Dataset(dataset))


@pytest.mark.parametrize(
    'name',
    [
        'images\\1\\90fbb0c7-000002.png',
        '/data/upload/4/90fbb0c7-000002.png?x=1',
        '000002_png.rf.8a3b01cd.jpg',
        'depth_000002.png',
    ],
)
def test_names_that_tools_changed_are_matched(tmp_path: Path, dataset: Path, name: str) -> None:
    annotated = read_annotations(coco_file(tmp_path / 'a.json', [SQUARE], name=name))
    assert list(labels_of_frames(annotated, Dataset(dataset))) == [2]


def test_an_image_of_another_size_costs_itself_alone(tmp_path: Path, dataset: Path) -> None:
    annotated = read_annotations(coco_file(tmp_path / 'a.json', [SQUARE]))
    labels = np.zeros((3, 3), np.uint16)
    annotated['000001'] = AnnotatedImage('000001', labels, tmp_path / 'b.json')
    unusable = Unusable()
    assert list(labels_of_frames(annotated, Dataset(dataset), unusable)) == [2]
    assert '3 x 3 px' in unusable.images.reasons[0]


def test_an_image_that_says_it_is_endless_takes_no_memory(tmp_path: Path) -> None:
    image = {'id': 7, 'file_name': '000002.png', 'width': 10**9, 'height': 10**9}
    with pytest.raises(AnnotationError, match='an image of 1000000000 x'):
        read_annotations(coco_file(tmp_path / 'a.json', [SQUARE], images=[image]))


def test_another_size_is_named_with_both(tmp_path: Path, dataset: Path) -> None:
    image = {'id': 7, 'file_name': '000002.png', 'width': 2 * WIDTH, 'height': 2 * HEIGHT}
    annotated = read_annotations(coco_file(tmp_path / 'a.json', [SQUARE], images=[image]))
    with pytest.raises(AnnotationError, match=r'32 x 24 px, .* 16 x 12'):
        labels_of_frames(annotated, Dataset(dataset))


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
