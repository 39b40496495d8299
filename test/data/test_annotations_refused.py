"""What cannot be used of masks drawn by hand costs itself alone, and is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from drawn import HEIGHT, SQUARE, WIDTH, bare_dataset, coco_file, labelme_file, only, pairs, square

from insegan_ros.data.annotations import (
    AnnotatedImage,
    AnnotationError,
    Unusable,
    labels_of_frames,
    read_annotations,
)
from insegan_ros.data.store import Dataset


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return bare_dataset(tmp_path)


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


def test_a_crowd_is_a_region_that_is_not_judged(tmp_path: Path) -> None:
    everything = [0, 0, WIDTH, 0, WIDTH, HEIGHT, 0, HEIGHT]
    path, unusable = coco_file(tmp_path / 'a.json', [SQUARE], [everything]), Unusable()
    content = json.loads(path.read_text())
    content['annotations'][1]['iscrowd'] = 1
    path.write_text(json.dumps(content))
    (image,) = read_annotations(path, unusable).values()
    assert np.array_equal(image.labels == 1, square())  # the part in it still is one
    assert (image.labels[~square()] == -1).all()
    assert not unusable.annotations.reasons


def test_an_image_with_a_crowd_alone_is_named(tmp_path: Path) -> None:
    path, unusable = coco_file(tmp_path / 'a.json', [SQUARE]), Unusable()
    content = json.loads(path.read_text())
    crowd = content['annotations'][0] | {'id': 9, 'image_id': 8, 'iscrowd': 1}
    content['annotations'].append(crowd)
    content['images'].append(content['images'][0] | {'id': 8, 'file_name': '000003.png'})
    path.write_text(json.dumps(content))
    assert len(read_annotations(path, unusable)) == 1
    assert 'a crowd (iscrowd), but no part' in str(unusable.images.reasons)


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
