"""Scenes of an explicit template: geometry, composition, gradients, bounds."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from insegan_ros.bin import Bin
from insegan_ros.camera import Plane
from insegan_ros.crop import BinCrop, CropConfig
from insegan_ros.model.contact import drop
from insegan_ros.model.explicit import Template, TemplateError, random_rotations, render
from insegan_ros.model.explicit_scene import (
    Poses,
    SceneView,
    Solid,
    bounded,
    checked,
    compose,
    render_instances,
    rerendering_error,
    rerendering_loss,
)
from insegan_ros.synthetic.raycast import Camera, Raycaster, looking_down
from insegan_ros.types import DepthFrame, Intrinsics

sys.path.insert(0, str(Path(__file__).parent))
from ell_template import VOXEL_M, ell

VIEW = SceneView(CropConfig(0.16, 0.09, 64), (0.0, 0.0, 0.5))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def logits() -> torch.Tensor:
    return torch.from_numpy(ell().logits)


SOLID = Solid.of(logits(), VOXEL_M, generator())


def some_poses(batch: int, count: int, seed: int = 0) -> Poses:
    turns = random_rotations(batch * count, generator(seed)).reshape(batch, count, 3, 3)
    raw = torch.randn(batch, count, 3, generator=generator(seed + 1)) * 0.4
    raw[..., 2] -= 2  # low: crops end at a height
    return Poses(turns, bounded(turns, raw, SOLID, VIEW), torch.ones(batch, count))


def drawn(poses: Poses, view: SceneView = VIEW, samples: int = 24) -> tuple:
    alone = render_instances(logits().sigmoid(), VOXEL_M, poses, SOLID.radius_m, view, samples)
    return compose(alone)


def test_a_camera_far_away_sees_the_orthographic_view() -> None:
    pixels = 18
    view = SceneView(CropConfig(pixels * VOXEL_M, 0.09, pixels), (0.0, 0.0, 2000.0))
    turns = random_rotations(5, generator())
    position = torch.tensor([0.0, 0.0, 0.05]).expand(5, 1, 3)
    poses = Poses(turns[:, None], position, torch.ones(5, 1))
    radius = pixels * VOXEL_M / 2  # the same samples as there
    alone = render_instances(logits().sigmoid(), VOXEL_M, poses, radius, view, pixels)
    theirs = render(logits().sigmoid(), VOXEL_M, turns, None, pixels)
    ours = alone.silhouette[:, 0].flip(1)  # its rows go up
    assert torch.allclose(ours, theirs.silhouette, atol=5e-3)
    height = ((alone.height - 0.05) * alone.silhouette)[:, 0].flip(1)
    assert torch.allclose(height, theirs.height, atol=2e-4)


@pytest.mark.parametrize('tilt', [0.0, 15.0])
def test_scene_is_what_the_crop_of_a_ray_cast_frame_shows(tilt: float) -> None:
    poses = some_poses(1, 3, seed=3)
    matrices = np.tile(np.eye(4), (3, 1, 1))
    matrices[:, :3, :3] = poses.rotation[0].numpy()
    matrices[:, :3, 3] = poses.position[0].numpy()
    camera = Camera(
        Intrinsics(320, 320, 600.0, 600.0, 159.5, 159.5), looking_down(0.5, tilt, (0.02, 0.01))
    )
    depth, _ = Raycaster(ell().mesh()).render(matrices, camera)
    frame = DepthFrame(depth, camera.intrinsics)
    to_camera = camera.camera_T_world
    normal = to_camera[:3, 2]
    floor = Plane(tuple(normal.tolist()), float(-normal @ to_camera[:3, 3]))
    square = np.array([[-1, 1, 0], [1, 1, 0], [1, -1, 0], [-1, -1, 0]]) * 0.09
    corners = square @ to_camera[:3, :3].T + to_camera[:3, 3]
    bin = Bin(floor, None, tuple(map(tuple, corners.tolist())))
    view = SceneView.of([(frame, bin)], VIEW.crop)
    crop = BinCrop.of(frame, bin, VIEW.crop)
    seen = crop.heights(crop.image)
    heights, _, _ = drawn(poses, view, 40)
    off = np.abs(heights[0].numpy() - seen)
    assert (seen > 0.004).sum() > 300
    assert np.median(off[seen > 0.004]) < 0.0015
    assert (off > 0.006).mean() < 0.05  # edges


def test_composition_ignores_the_order_of_instances() -> None:
    poses = some_poses(2, 4)
    order = torch.tensor([2, 0, 3, 1])
    turned = Poses(poses.rotation[:, order], poses.position[:, order], poses.present[:, order])
    heights, silhouette, visible = drawn(poses)
    again = drawn(turned)
    assert torch.allclose(heights, again[0], atol=1e-6)
    assert torch.allclose(silhouette, again[1], atol=1e-6)
    assert torch.allclose(visible[:, order], again[2], atol=1e-6)


def test_the_higher_instance_hides_the_lower_and_an_absent_one_hides_nothing() -> None:
    turns = torch.eye(3).expand(1, 2, 3, 3)
    position = torch.tensor([[[0, 0, 0.03], [0.0, 0, 0.06]]])
    _, _, visible = drawn(Poses(turns, position, torch.ones(1, 2)))
    assert visible[0, 0].sum() < 0.1 * visible[0, 1].sum()
    _, _, alone = drawn(Poses(turns, position, torch.tensor([[1.0, 0.0]])))
    assert alone[0, 1].sum() == 0
    assert alone[0, 0].sum() > 0.8 * visible[0, 1].sum()


def test_gradients_reach_rotations_places_presence_and_the_template() -> None:
    shape = logits().requires_grad_()
    poses = some_poses(1, 2)
    leaves = [x.clone().requires_grad_() for x in (poses.rotation, poses.position, poses.present)]
    drawing = render_instances(
        torch.sigmoid(shape / 4), VOXEL_M, Poses(*leaves), SOLID.radius_m, VIEW, 24
    )
    heights, silhouette, _ = compose(drawing)
    target = drawn(some_poses(1, 2, seed=9))[0]
    ((heights - target).abs().sum() + silhouette.sum()).backward()
    for leaf in [*leaves, shape]:
        assert leaf.grad is not None
        assert torch.isfinite(leaf.grad).all()
        assert leaf.grad.abs().sum() > 0


def test_descent_on_the_image_moves_an_instance_into_place() -> None:
    truth = some_poses(1, 1, seed=2)
    target = drawn(truth)[0]
    offset = torch.tensor([0.008, -0.006, 0.004])
    place = (truth.position + offset).requires_grad_()
    optimizer = torch.optim.Adam([place], lr=8e-4)
    for _ in range(40):
        heights = drawn(Poses(truth.rotation, place, truth.present), samples=16)[0]
        optimizer.zero_grad()
        (heights - target).abs().sum().backward()
        optimizer.step()
    assert float((place.detach() - truth.position).norm()) < 0.25 * float(offset.norm())


def test_whatever_the_numbers_every_instance_is_in_the_bin_and_not_under_its_floor() -> None:
    turns = random_rotations(200, generator())
    raw = torch.randn(200, 3, generator=generator(1)) * 20
    place = bounded(turns, raw, SOLID, VIEW)
    assert place[:, :2].abs().max() <= VIEW.crop.side_m / 2
    lowest = (turns @ SOLID.hull.T)[:, 2].amin(dim=1) + place[:, 2]
    assert lowest.min() > -1e-6


def test_dropped_parts_touch_something_and_stand_in_nothing() -> None:
    counts = torch.tensor([5, 3, 1, 4])
    poses = drop(SOLID, VIEW, counts, 5, generator())
    assert poses.present.sum(dim=1).tolist() == counts.tolist()
    lowest = (poses.rotation @ SOLID.hull.T)[:, :, 2].amin(dim=2) + poses.position[..., 2]
    assert lowest.min() > -1e-6
    assert lowest[:, 0].abs().max() < 1e-6  # the first lies on the floor
    assert float(poses.position[..., 2].max()) < 0.15


def test_a_template_too_small_to_be_a_shape_is_refused() -> None:
    crumb = np.full((16, 16, 16), -5, np.float32)
    crumb[8, 8, 8] = 5
    with pytest.raises(TemplateError, match=r'1 voxels .* at least .* discover it again'):
        checked(Template(crumb, VOXEL_M))
    with pytest.raises(TemplateError, match='at least 8'):
        checked(Template(np.full((4, 4, 4), 5, np.float32), VOXEL_M))


def test_what_is_not_known_is_neither_right_nor_wrong() -> None:
    heights, silhouette, _ = drawn(some_poses(1, 2))
    real = heights.clone()
    real[:, :20] = torch.nan
    rendered = heights.clone()
    rendered[:, :20] += 0.05
    assert rerendering_error(rendered, real).item() == 0
    same = rerendering_loss(heights, silhouette, real, 0.01)
    assert torch.allclose(rerendering_loss(rendered, silhouette, real, 0.01), same)
    real[:, 30:] += 0.01
    assert rerendering_error(rendered, real).item() > 0.005
