"""The explicit template's storage, its surface and its renderer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from insegan_ros.model.template import (
    Template,
    TemplateError,
    fill_unseen,
    random_rotations,
    render,
    resting_heights,
    rotation_from_vector,
)

VOXEL_M = 0.002


def box(half: tuple[float, float, float], grid: int = 24) -> Template:
    """A box of the given half sides in metres."""
    line = (np.arange(grid) - (grid - 1) / 2) * VOXEL_M
    x, y, z = np.meshgrid(line, line, line, indexing='ij')
    inside = np.minimum.reduce([half[0] - abs(x), half[1] - abs(y), half[2] - abs(z)])
    return Template((inside / VOXEL_M * 30).clip(-12, 12).astype(np.float32), VOXEL_M)


def test_template_survives_the_disk(tmp_path: Path) -> None:
    template = box((0.010, 0.014, 0.006))
    Template(template.logits, VOXEL_M, {'residual': 0.1}).save(tmp_path / 'a')
    loaded = Template.load(tmp_path / 'a')
    assert np.array_equal(loaded.logits, template.logits)
    assert loaded.voxel_m == VOXEL_M
    assert loaded.account == {'residual': 0.1}


def test_damaged_template_is_named(tmp_path: Path) -> None:
    box((0.01, 0.01, 0.01)).save(tmp_path)
    (tmp_path / 'template.safetensors').write_bytes(b'half of it')
    with pytest.raises(TemplateError, match=str(tmp_path)):
        Template.load(tmp_path)


def test_mesh_has_the_grid_s_metric_size() -> None:
    template = box((0.010, 0.014, 0.006))
    mesh = template.mesh()
    assert mesh.is_watertight
    assert mesh.volume > 0
    assert np.allclose(mesh.extents, [0.020, 0.028, 0.012], atol=0.0012)
    assert template.diameter_m == pytest.approx(np.linalg.norm([0.020, 0.028, 0.012]), abs=2e-3)


def test_mesh_is_one_solid_without_crumbs() -> None:
    template = box((0.010, 0.014, 0.006))
    logits = template.logits.copy()
    logits[1, 1, 1] = 9
    assert np.allclose(Template(logits, VOXEL_M).mesh().bounds, template.mesh().bounds)


def test_empty_template_has_no_mesh() -> None:
    with pytest.raises(TemplateError, match='empty'):
        Template(np.full((8, 8, 8), -5, np.float32), VOXEL_M).mesh()


def test_views_agree_with_an_analytic_box() -> None:
    template = box((0.010, 0.014, 0.006))
    occupancy = torch.from_numpy(template.occupancy)
    down = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    side = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # y up
    turns = torch.stack([down, side])
    views = render(occupancy, VOXEL_M, turns, shifts=None, pixels=24)
    area = views.silhouette.sum(dim=(1, 2)) * VOXEL_M**2
    assert area.tolist() == pytest.approx([0.020 * 0.028, 0.020 * 0.012], rel=0.05)
    tops = (views.height / views.silhouette.clamp(min=1e-6))[:, 12, 12]
    assert tops.tolist() == pytest.approx([0.006, 0.014], abs=0.0011)
    widths = views.silhouette[0].sum(dim=0).max(), views.silhouette[0].sum(dim=1).max()
    assert [float(w) * VOXEL_M for w in widths] == pytest.approx([0.028, 0.020], abs=1e-3)
    rest = resting_heights(occupancy, VOXEL_M, turns)
    assert rest.tolist() == pytest.approx([0.006, 0.014], abs=1e-4)


def test_shift_moves_the_view_by_metres() -> None:
    occupancy = torch.from_numpy(box((0.006, 0.006, 0.006)).occupancy)
    shift = torch.tensor([[3 * VOXEL_M, -2 * VOXEL_M]])
    turn = torch.eye(3)[None]
    still = render(occupancy, VOXEL_M, turn, shifts=None, pixels=24).silhouette[0]
    moved = render(occupancy, VOXEL_M, turn, shifts=shift, pixels=24).silhouette[0]
    assert torch.allclose(moved, still.roll((-2, 3), (0, 1)), atol=1e-3)


def test_rendering_is_differentiable_in_shape_and_pose() -> None:
    logits = torch.from_numpy(box((0.010, 0.014, 0.006)).logits / 2).requires_grad_()
    vector, shift = torch.full((2, 3), 0.2).requires_grad_(), torch.zeros(2, 2).requires_grad_()
    views = render(
        torch.sigmoid(logits), VOXEL_M, rotation_from_vector(vector), shifts=shift, pixels=16
    )
    (views.height.square().sum() + views.silhouette[:, :8, :6].sum()).backward()
    assert all(t.grad is not None and t.grad.abs().sum() > 0 for t in (logits, vector, shift))


def test_random_rotations_are_rotations() -> None:
    turns = random_rotations(50, torch.Generator().manual_seed(0))
    assert torch.allclose(turns @ turns.mT, torch.eye(3).expand(50, 3, 3), atol=1e-5)
    assert torch.allclose(torch.linalg.det(turns), torch.ones(50), atol=1e-5)


def test_what_no_view_reaches_is_filled_and_what_one_reaches_is_not() -> None:
    logits = box((0.012, 0.014, 0.010)).logits.copy()
    closed = logits.copy()
    closed[9:15, 9:15, 9:15] = -12
    bored = logits.copy()
    bored[9:15, 9:15, :] = -12
    turns = random_rotations(150, torch.Generator().manual_seed(0))
    turns = torch.cat([torch.eye(3)[None], turns])
    filled = fill_unseen(torch.sigmoid(torch.from_numpy(closed)), turns)
    kept = fill_unseen(torch.sigmoid(torch.from_numpy(bored)), turns)
    assert filled[9:15, 9:15, 9:15].min() > 0.9
    assert kept[10:14, 10:14, 8:16].max() < 0.1
    assert filled[:3].max() < 0.1
