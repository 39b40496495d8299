"""The published layout becomes a dataset; what does not belong together is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from insegan_ros import cli
from insegan_ros.data.insta10 import DepthCode, Insta10
from insegan_ros.data.store import Dataset, DatasetError
from insegan_ros.types import Intrinsics

SIZE = 64
CAMERA = Intrinsics(SIZE, SIZE, 120.0, 120.0, 31.5, 31.5)
COLOURS = ((255, 0, 0), (0, 255, 0), (40, 40, 40), (0, 0, 0))  # black is an instance here
BACKGROUND = (255, 255, 255)


def draw(seed: int, dtype: type = np.uint16) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(H, W) depth, its (H, W, 3) RGB mask and the labels that shall be read of it."""
    rng = np.random.default_rng(seed)
    near, far = (90, 125) if dtype is np.uint8 else (470, 500)
    depth = np.full((SIZE, SIZE), far, dtype)
    mask = np.full((SIZE, SIZE, 3), BACKGROUND, np.uint8)
    order = np.zeros((SIZE, SIZE), np.uint8)
    # labels follow the order of the colours: black, green, dark grey, red
    for k, rank in zip(range(4), (4, 2, 3, 1)):
        y, x = 4 + 30 * (k // 2) + rng.integers(6), 4 + 30 * (k % 2) + rng.integers(6)
        depth[y : y + 18, x : x + 18] = near + k
        mask[y : y + 18, x : x + 18] = COLOURS[k]
        order[y : y + 18, x : x + 18] = rank
    return depth, mask, order


def make_class(path: Path, dtype: type = np.uint16) -> Path:
    """Three training images, two for validation and three for the test."""
    number = 0
    for folder, count in (('', 3), ('val', 2), ('test', 3)):
        for _ in range(count):
            depth, mask, _ = draw(number, dtype)
            (path / folder / 'depth').mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path / folder / 'depth' / f'depth_{number:04d}.png'), depth)
            if folder:
                (path / folder / 'rgb').mkdir(exist_ok=True)
                file = path / folder / 'rgb' / f'rgb_{number:04d}.png'
                cv2.imwrite(str(file), mask[..., ::-1])
            number += 1
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_class(tmp_path / 'block')


def run_import(folder: Path, out: Path, *more: str) -> int:
    arguments = ['import', '--from', 'insta10', str(folder), '--out', str(out)]
    return cli.main([*arguments, '--size', str(SIZE), '--focal', '120', *more])


def test_a_class_becomes_a_dataset_with_its_splits_and_labels(
    folder: Path, tmp_path: Path
) -> None:
    assert run_import(folder, tmp_path / 'd', '--instances', '4') == 0
    dataset = Dataset(tmp_path / 'd')
    assert dataset.splits() == {'train': [0, 1, 2], 'val': [3, 4], 'test': [5, 6, 7]}
    assert dataset.info.part == 'block'
    assert dataset.info.instances == 4
    for sample in dataset:
        depth, _, labels = draw(sample.index)
        np.testing.assert_allclose(sample.frame.depth_m, depth / 1000, atol=1e-6)
        if sample.index < 3:
            assert sample.labels is None
        else:
            np.testing.assert_array_equal(sample.labels, labels)
    assert [problem for found in dataset.verify() for problem in found] == []


def test_what_is_imported_can_be_evaluated_and_segmented(
    folder: Path, tmp_path: Path, capsys
) -> None:
    assert run_import(folder, tmp_path / 'd', '--instances', '4') == 0
    common = [str(tmp_path / 'd'), '--out', str(tmp_path / 'o')]
    evaluate = ['evaluate', '--methods', 'kmeans', '--seeds', '1', '--dataset']
    assert cli.main([*evaluate, *common]) == 0
    assert '3 frames' in (tmp_path / 'o/results.md').read_text()
    assert '| kmeans |' in capsys.readouterr().out
    segment = ['segment', '--method', 'kmeans', '--split', 'val', '--input']
    assert cli.main([*segment, str(tmp_path / 'd'), '--out', str(tmp_path / 's')]) == 0
    assert len(list((tmp_path / 's/labels').glob('*.png'))) == 2


def test_an_import_cut_short_goes_on_where_it_stopped(
    folder: Path, tmp_path: Path, capsys
) -> None:
    broken = folder / 'val/depth/depth_0004.png'
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    assert run_import(folder, tmp_path / 'd') == 1
    assert 'depth_0004.png is damaged: it is cut short' in capsys.readouterr().err
    assert Dataset(tmp_path / 'd').indices == [0, 1, 2, 3]  # what came before is whole
    assert Dataset(tmp_path / 'd').split('train') == [0, 1, 2]
    broken.write_bytes(whole)
    assert run_import(folder, tmp_path / 'd') == 0
    told = capsys.readouterr().out
    assert '4 frames added, 8 in all' in told
    assert 'background of the masks: 255,255,255; instances: 4 in 5 masks' in told
    assert 'depth of frame 0: 0.470 to 0.500 m' in told
    assert run_import(folder, tmp_path / 'd') == 0
    assert '0 frames added, 8 in all' in capsys.readouterr().out


def test_a_folder_whose_files_changed_is_not_mixed_with_what_is_there(
    folder: Path, tmp_path: Path, capsys
) -> None:
    assert run_import(folder, tmp_path / 'd') == 0
    (folder / 'depth/depth_0001.png').unlink()
    assert run_import(folder, tmp_path / 'd') == 1
    assert 'choose another folder' in capsys.readouterr().err


def test_eight_bits_are_read_with_their_own_unit(tmp_path: Path) -> None:
    source = Insta10(make_class(tmp_path / 'c', np.uint8), CAMERA)
    assert source[0].frame.depth_m[0, 0] == pytest.approx(125 * 0.004)
    assert run_import(tmp_path / 'c', tmp_path / 'd') == 0
    stored = Dataset(tmp_path / 'd')[0].frame.depth_m
    np.testing.assert_allclose(stored, source[0].frame.depth_m, atol=1e-6)


def test_brighter_may_be_nearer(tmp_path: Path) -> None:
    folder = make_class(tmp_path / 'c', np.uint8)
    depth, _, _ = draw(0, np.uint8)
    expected = 0.8 - 0.002 * depth.astype(float)
    more = ('--depth-scale', '-0.002', '--depth-offset', '0.8')
    assert run_import(folder, tmp_path / 'd', *more) == 0
    stored = Dataset(tmp_path / 'd')[0].frame.depth_m
    np.testing.assert_allclose(stored, expected, atol=5.1e-5)  # kept to 0.1 mm


def test_a_value_of_0_is_unmeasured_only_where_it_would_lie_at_the_camera() -> None:
    values = np.array([[0, 10]], np.uint8)
    np.testing.assert_allclose(DepthCode(0.01).metres(values), [[np.nan, 0.1]], atol=1e-6)
    np.testing.assert_allclose(DepthCode(0.01, 0.2).metres(values), [[0.2, 0.3]], atol=1e-6)


def test_the_background_is_the_colour_of_the_edges_whatever_it_is(folder: Path) -> None:
    assert Insta10(folder, CAMERA).background == {BACKGROUND}
    for file in folder.glob('*/rgb/*.png'):  # white and black change places
        image = cv2.imread(str(file))
        white, black = (image == 255).all(axis=2), (image == 0).all(axis=2)
        image[white], image[black] = 0, 255
        cv2.imwrite(str(file), image)
    source = Insta10(folder, CAMERA)
    assert source.background == {(0, 0, 0)}
    assert [int(source[k].labels.max()) for k in source.masks] == [4] * 5


def test_one_mask_that_a_part_s_colour_surrounds_does_not_turn_the_rule(folder: Path) -> None:
    file = folder / 'val/rgb/rgb_0003.png'
    image = cv2.imread(str(file))
    image[[0, -1]], image[:, [0, -1]] = (0, 0, 255), (0, 0, 255)
    cv2.imwrite(str(file), image)
    assert Insta10(folder, CAMERA).background == {BACKGROUND}


def test_the_background_may_be_named(folder: Path) -> None:
    source = Insta10(folder, CAMERA, background=[BACKGROUND, (0, 0, 0)])
    assert int(source[3].labels.max()) == 3


def test_grey_masks_and_grey_depth_in_three_channels_are_read(folder: Path) -> None:
    expected = Insta10(folder, CAMERA)[3]
    for file in folder.glob('*/rgb/*.png'):
        image = cv2.imread(str(file))
        # 0 black, 20 green, 40 dark grey, 80 red, 255 white: the colours' own order
        grey = image[..., 0].copy()  # of blue, green, red
        grey[(image == (0, 255, 0)).all(axis=2)] = 20
        grey[(image == (0, 0, 255)).all(axis=2)] = 80
        cv2.imwrite(str(file), grey)
    for file in folder.glob('**/depth/*.png'):
        image = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(file), np.repeat(image[..., None], 3, axis=2))
    found = Insta10(folder, CAMERA)[3]
    np.testing.assert_array_equal(found.frame.depth_m, expected.frame.depth_m)
    np.testing.assert_array_equal(found.labels, expected.labels)


def drop_folder(path: Path) -> None:
    shutil.rmtree(path / 'test/rgb')


def drop_training(path: Path) -> None:
    shutil.rmtree(path / 'depth')


def empty_folder(path: Path) -> None:
    for file in (path / 'val/depth').iterdir():
        file.unlink()


def drop_depth(path: Path) -> None:
    (path / 'test/depth/depth_0006.png').unlink()


def drop_mask(path: Path) -> None:
    (path / 'test/rgb/rgb_0006.png').unlink()


def other_size(path: Path) -> None:
    cv2.imwrite(str(path / 'depth/depth_0001.png'), np.full((32, 64), 500, np.uint16))


def other_mask_size(path: Path) -> None:
    cv2.imwrite(str(path / 'val/rgb/rgb_0003.png'), np.zeros((32, 32, 3), np.uint8))


def half_mask(path: Path) -> None:
    file = path / 'val/rgb/rgb_0003.png'
    file.write_bytes(file.read_bytes()[:-40])


def mask_with_losses(path: Path) -> None:
    content = cv2.imencode('.jpg', np.zeros((SIZE, SIZE, 3), np.uint8))[1]
    (path / 'val/rgb/rgb_0003.png').write_bytes(content.tobytes())


def other_depth(path: Path) -> None:
    cv2.imwrite(str(path / 'depth/depth_0001.png'), np.full((SIZE, SIZE), 50, np.uint8))


def colour_depth(path: Path) -> None:
    cv2.imwrite(str(path / 'depth/depth_0001.png'), draw(1)[1])


def blurred_mask(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3), np.uint8)
    cv2.imwrite(str(path / 'val/rgb/rgb_0003.png'), noise)


@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        (drop_folder, r'no folder .*test/rgb; Insta-10 has <class>/depth'),
        (drop_training, r'no folder .*block/depth; Insta-10 has'),
        (empty_folder, r'val/depth holds no \.png'),
        (drop_depth, r'rgb_0006\.png: a mask without a depth image'),
        (drop_mask, r'depth_0006\.png has no mask: there is no .*rgb_0006\.png'),
        (other_size, r'depth_0001\.png is \(32, 64\) \(H, W\); \(64, 64\) is expected'),
        (other_mask_size, r'rgb_0003\.png is \(32, 32\)'),
        (half_mask, r'rgb_0003\.png is damaged: it is cut short'),
        (mask_with_losses, r'rgb_0003\.png is no PNG'),
        (other_depth, r'depth_0001\.png is uint8; .* one class has one bit depth'),
        (colour_depth, r'depth_0001\.png is a colour image'),
        (blurred_mask, r'rgb_0003\.png has \d+ colours; .* stored with losses'),
    ],
)
def test_what_is_wrong_is_named_with_its_file(folder: Path, damage, message: str) -> None:
    damage(folder)
    with pytest.raises(DatasetError, match=message):
        list(Insta10(folder, CAMERA))


@pytest.mark.parametrize(
    ('more', 'message'),
    [
        (['--topic', '/depth'], 'for recordings'),
        (['--depth-scale', '0'], 'a number other than 0'),
        (['--depth-scale', '-0.01'], 'behind the camera'),
        (['--depth-scale', '-0.01', '--depth-offset', '0.5'], 'choose scale and offset'),
        (['--focal', '0'], 'focal'),
    ],
)
def test_wrong_arguments_are_named(folder: Path, tmp_path: Path, capsys, more, message) -> None:
    assert run_import(folder, tmp_path / 'd', *more) == 1
    assert message in capsys.readouterr().err


def test_a_recording_still_needs_its_part_s_name(folder: Path, tmp_path: Path, capsys) -> None:
    assert cli.main(['import', str(folder), '--out', str(tmp_path / 'd')]) == 1
    assert '--part is needed' in capsys.readouterr().err
