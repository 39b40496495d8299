"""The distilled network as a Segmenter, and its life as a folder."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from insegan_ros.camera import Plane
from insegan_ros.config import plain
from insegan_ros.distillation.clusters import VoteSettings
from insegan_ros.distillation.network import NetworkConfig, VoteNetwork
from insegan_ros.inference import distilled, distilled_card, model_card, network_scale
from insegan_ros.inference.bin_window import ids_inside
from insegan_ros.inference.poses import PoseEstimator, PoseFit
from insegan_ros.parts_bin import Bin, FindingConfig, PartLimits
from insegan_ros.types import DepthFrame, InstanceImages, Intrinsics
from insegan_ros.view_limits import ViewLimits, limited

CONFIG = NetworkConfig(0.04, 0.015, 0.5 / 200, widths=(16, 24, 32, 32))
VOTES = VoteSettings(part_probability=0.5, min_support=2.0)
CAMERA = Intrinsics(90, 70, 200.0, 200.0, 44.5, 34.5)
FLAT = Bin(Plane((0.0, 0.0, -1.0), 0.5), (10, 8, 60, 50))


def network(part_bias: float, seed: int = 0) -> VoteNetwork:
    """Untrained, but told how likely parts are."""
    torch.manual_seed(seed)
    network = VoteNetwork(CONFIG).eval()
    bias = network.head[0].bias
    assert bias is not None
    with torch.no_grad():
        bias[:4] += part_bias
        network.head[0].weight.mul_(0.3)
    return network


def frame(seed: int = 0) -> DepthFrame:
    rng = np.random.default_rng(seed)
    depth = np.full((70, 90), 0.5, np.float32) - rng.random((70, 90), np.float32) * 0.03
    depth[20:24, 30:40] = np.nan
    return DepthFrame(depth, CAMERA)


@pytest.mark.parametrize('tilt', [0.0, 20.0])
def test_segmentations_keep_their_promises(tilt: float) -> None:
    angle = np.radians(tilt)
    floor = Plane((0.0, float(np.sin(angle)), -float(np.cos(angle))), 0.5)
    segmenter = distilled.DistilledSegmenter(network(3.0), VOTES, Bin(floor, FLAT.region))
    found = segmenter.segment(frame())
    n = found.count
    assert n > 0
    assert found.labels.shape == (70, 90)
    assert found.labels.dtype == np.uint16
    assert found.masks.shape == found.depths.shape == (n, 70, 90)
    assert found.poses.shape == (n, 4, 4)
    assert (np.diff(found.scores) <= 0).all()
    assert ((found.scores >= 0) & (found.scores <= 1)).all()
    assert ((found.visible_fraction >= 0) & (found.visible_fraction <= 1)).all()
    for k, mask in enumerate(found.masks, 1):
        assert (mask == (found.labels == k)).all()


def test_an_empty_bin_has_no_instances() -> None:
    found = distilled.DistilledSegmenter(network(-9.0), VOTES, FLAT).segment(frame())
    assert found.count == 0
    assert not found.labels.any()


def test_nothing_is_found_outside_the_bin() -> None:
    found = distilled.DistilledSegmenter(network(3.0), VOTES, FLAT).segment(frame())
    outside = np.ones((70, 90), bool)
    outside[0:66, 2:78] = False  # the region and its margin
    assert not found.labels[outside].any()


def test_a_closer_camera_with_the_same_view_of_the_floor_sees_the_same_labels() -> None:
    """Twice the focal length: the image is resampled to the scale of training, and back."""
    near = DepthFrame(
        np.repeat(np.repeat(frame().depth_m, 2, 0), 2, 1),
        Intrinsics(180, 140, 400.0, 400.0, 89.5, 69.5),
    )
    twice = Bin(FLAT.floor, None)
    small = distilled.DistilledSegmenter(network(3.0), VOTES, Bin(FLAT.floor, None))
    large = distilled.DistilledSegmenter(network(3.0), VOTES, twice)
    a, b = small.segment(frame()).labels, large.segment(near).labels
    assert (np.repeat(np.repeat(a > 0, 2, 0), 2, 1) == (b > 0)).mean() > 0.99


def test_an_instance_of_a_resampled_image_has_edges_of_its_own_pixels() -> None:
    """A network that knows where a disc ends: at twice the pixels its edge is no stair of two."""
    v, u = np.mgrid[:128, :128]
    disc = np.hypot(v - 63.5, u - 63.5) < 40
    heights = np.where(disc, np.float32(0.02), 0).astype(np.float32)

    class Discs(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            out = torch.zeros(1, 6, *image.shape[-2:])
            right = torch.arange(image.shape[3]) - 31.5
            down = torch.arange(image.shape[2])[:, None] - 31.5
            out[:, 0] = 20 - torch.hypot(right, down)
            out[:, 1] = -right / CONFIG.unit_px
            out[:, 2] = -down / CONFIG.unit_px
            return out

    segmenter = distilled.DistilledSegmenter(network(3.0), VOTES)
    segmenter.network = Discs()
    found = segmenter._instances(heights, CONFIG.pixel_m / 2)
    assert found.labels.max() == 1
    assert found.centres[0, :2] == pytest.approx([63.5, 63.5], abs=1)
    wrong = ((found.labels == 1) != disc).sum()
    stairs = (np.repeat(np.repeat(disc[::2, ::2], 2, 0), 2, 1) != disc).sum()
    assert wrong < 0.4 * stairs


def test_a_saved_model_gives_the_same_output(tmp_path: Path) -> None:
    original = network(3.0)
    card = {'method': 'distilled', 'settings': plain(distilled_card.DistilledCard(CONFIG, VOTES))}
    model_card.save_model(tmp_path, card, original.state_dict())
    loaded = model_card.load_segmenter(str(tmp_path), parts_bin=FLAT)
    ours = distilled.DistilledSegmenter(original, VOTES, FLAT).segment(frame())
    theirs = loaded.segment(frame())
    assert ours.count > 0
    assert (ours.labels == theirs.labels).all()
    assert np.allclose(ours.scores, theirs.scores)


def test_a_model_seeks_bin_and_parts_with_the_settings_of_its_training(tmp_path: Path) -> None:
    taller = FindingConfig(limits=PartLimits(least_height_m=0.5))  # than anything in the frame
    depth = np.full((70, 90), 0.5, np.float32)
    depth[20:50, 30:60] -= 0.03
    shown = DepthFrame(depth, CAMERA)
    for finding, seen in ((FindingConfig(), True), (taller, False)):
        settings = plain(distilled_card.DistilledCard(CONFIG, VOTES, finding=finding))
        card = {'method': 'distilled', 'settings': settings}
        model_card.save_model(tmp_path, card, network(3.0).state_dict())
        found = model_card.load_segmenter(str(tmp_path)).segment(shown)
        assert (found.count > 0) is seen


def test_a_damaged_model_is_refused_with_a_reason(tmp_path: Path) -> None:
    card = {'method': 'distilled', 'settings': plain(distilled_card.DistilledCard(CONFIG, VOTES))}
    model_card.save_model(tmp_path, card, {'head.0.bias': torch.zeros(3)})
    with pytest.raises(model_card.ModelError, match='cannot be loaded'):
        model_card.load_segmenter(str(tmp_path))
    settings = {**plain(distilled_card.DistilledCard(CONFIG, VOTES)), 'merging': None}
    model_card.save_model(tmp_path, {**card, 'settings': settings}, {})
    with pytest.raises(model_card.ModelError, match=r"another version .*'merging'"):
        model_card.load_segmenter(str(tmp_path))
    (tmp_path / model_card.CARD).write_text('method: psychic\nsettings: {}\n')
    with pytest.raises(model_card.ModelError, match='psychic'):
        model_card.load_segmenter(str(tmp_path))


def test_what_stands_outside_the_walls_is_no_part() -> None:
    labels = np.zeros((10, 12), np.int32)
    labels[:5, :4], labels[:5, 4:8], labels[5:, :6] = 1, 2, 5
    part = np.zeros(labels.shape, bool)
    part[:, :7] = True  # three quarters of 2 are inside, all of 1 and 5
    measured = np.ones(labels.shape, bool)
    assert ids_inside(labels, part, measured).tolist() == [1, 2, 5]
    part[:, 5:] = False  # a quarter of 2, five sixths of 5
    assert ids_inside(labels, part, measured).tolist() == [1, 5]
    measured[:, 5:8] = False  # what is not measured tells nothing
    assert ids_inside(labels, part, measured).tolist() == [1, 2, 5]


def test_only_what_is_seen_whole_and_agreed_on_counts_as_a_whole_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    segmenter = distilled.DistilledSegmenter(network(3.0), VOTES, FLAT)
    labels = np.zeros((70, 90), np.int32)
    labels[20:30, 20:30], labels[20:30, 40:50], labels[40:50, 20:30] = 1, 2, 3
    agreement, visible = np.array([0.9, 0.9, 0.2]), np.array([0.95, 0.5, 0.95])
    found = distilled.Found(labels, np.zeros((3, 3)), agreement, visible, np.ones(3, np.int64))
    monkeypatch.setattr(segmenter, 'find', lambda frame, parts_bin: found)
    assert np.array_equal(segmenter.whole_parts(frame(), FLAT) > 0, labels == 1)


def test_a_network_for_any_length_sees_parts_at_the_scales_of_its_training() -> None:
    """Told half the length, it sees the image twice as fine, within what it was trained for."""
    known = distilled.DistilledSegmenter(network(3.0), VOTES, FLAT)
    assert not known.any_length
    with pytest.raises(ValueError, match='knows one part'):
        known.set_part_length(0.05)
    segmenter = distilled.DistilledSegmenter(network(3.0), VOTES, FLAT, lengths_px=(10.0, 20.0))
    pixel = 0.5 / 200
    for length, factor in ((0.0375, 1.0), (0.0125, 2.0), (0.1, 0.5)):
        segmenter.set_part_length(length)
        assert segmenter.magnification(pixel) == pytest.approx(factor)
        assert segmenter.part_length_m == length
    with pytest.raises(ValueError, match=r'0\.001 to 2 m'):
        segmenter.set_part_length(0.0)


def test_of_a_large_image_a_network_sees_no_more_than_it_has_time_for() -> None:
    """Parts are then smaller than it was trained for; much smaller ones it refuses."""
    segmenter = distilled.DistilledSegmenter(network(3.0), VOTES, FLAT, lengths_px=(40.0, 56.0))
    pixel, shape = 0.001, (480, 848)
    for length in (0.030, 0.050, 0.1):
        segmenter.set_part_length(length)
        factor = segmenter.magnification(pixel, shape)
        assert factor**2 * shape[0] * shape[1] <= network_scale.MOST_PIXELS * 1.0001
        assert factor * length / pixel >= network_scale.FEWEST_PX
    segmenter.set_part_length(0.015)
    assert segmenter.magnification(pixel, (200, 200)) == pytest.approx(40 / 15)
    with pytest.raises(ValueError, match='only 15 px long'):
        segmenter.magnification(pixel, shape)


def test_a_model_whose_writing_is_cut_short_has_no_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder with a card is taken for whole: the weights come first."""

    def full(path: Path, content: bytes) -> None:
        if path.name == model_card.WEIGHTS:
            raise OSError(28, 'No space left on device')
        path.write_bytes(content)

    card = {'method': 'distilled', 'settings': plain(distilled_card.DistilledCard(CONFIG, VOTES))}
    monkeypatch.setattr(model_card, 'write_atomically', full)
    with pytest.raises(OSError, match='No space left'):
        model_card.save_model(tmp_path, card, network(3.0).state_dict())
    assert not (tmp_path / model_card.CARD).exists()


def test_how_badly_the_template_fits_is_known_without_poses_and_through_view_limits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    segmenter = distilled.DistilledSegmenter(network(3.0), VOTES, FLAT, usual_misfit=0.4)
    seen = limited(segmenter, ViewLimits(None, 1.0))
    plain_one = seen.segment(frame())
    assert seen.misfit is None  # it has no template
    asked: list[tuple[int, ...]] = []

    def cost(_: DepthFrame, masks: InstanceImages, *__: object, **how: Any) -> list[PoseFit]:
        asked.append((len(masks), len(how['order'])))
        return [PoseFit(np.eye(4), 0.8, 1.0)] * len(masks)

    monkeypatch.setattr(segmenter, 'poses', (None,))
    monkeypatch.setattr(segmenter, 'fit_poses', cost)
    found = seen.segment(frame(), pose_seconds=0.0)
    assert asked == [(min(3, found.count),) * 2]
    assert seen.misfit == pytest.approx(2.0)
    assert np.array_equal(found.poses, plain_one.poses)  # they stay the rough ones


def test_poses_get_what_the_rest_of_the_frame_leaves_of_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    segmenter = distilled.DistilledSegmenter(network(3.0), VOTES, FLAT)
    clock, given = SimpleNamespace(now=5.0), []
    found_before = segmenter.find

    def slow(*given: Any) -> Any:
        clock.now += 0.09
        return found_before(*given)

    def fits(_: DepthFrame, masks: InstanceImages, *__: object, **how: Any) -> list[None]:
        given.append(round(how['seconds'], 6))
        return [None] * len(masks)

    monkeypatch.setattr(PoseEstimator, 'clock', staticmethod(lambda: clock.now))
    monkeypatch.setattr(segmenter, 'find', slow)
    monkeypatch.setattr(segmenter, 'poses', (None,))
    monkeypatch.setattr(segmenter, 'fit_poses', fits)
    for in_all in (1.0, 0.2, 0.05):
        segmenter.segment(frame(), pose_seconds=0.2, answer_seconds=in_all)
    segmenter.segment(frame(), answer_seconds=0.2)  # a look at how well the template fits
    assert given == [0.2, 0.11, 0.0, 0.11]
