"""A closed mesh becomes a template of the same shape, size and place."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from insegan_ros.model.solid import template_of, winding_of


def ring() -> trimesh.Trimesh:
    return trimesh.creation.annulus(0.012, 0.025, 0.014)


@pytest.mark.parametrize('shift', [(0, 0, 0), (0.3, -0.2, 0.07)])
def test_a_template_has_the_meshs_volume_surface_and_hole(
    shift: tuple[float, float, float],
) -> None:
    mesh = ring()
    mesh.apply_translation(shift)
    winding = winding_of(mesh)
    template = template_of(mesh, winding)
    found = template.mesh()
    assert found.euler_number == 0
    assert found.volume == pytest.approx(mesh.volume, rel=0.04)
    assert np.allclose(found.extents, mesh.extents, atol=0.3 * winding.voxel_m)
    middle = winding.low + (winding.number.shape[0] - 1) / 2 * winding.voxel_m
    assert np.allclose(found.center_mass + middle, mesh.center_mass, atol=1e-4)


def test_walls_thinner_than_a_voxel_have_no_holes() -> None:
    sheet = trimesh.creation.box((0.08, 0.05, 0.0004))
    template = template_of(sheet, winding_of(sheet))
    found = template.mesh()
    assert found.euler_number == 2
    assert np.allclose(found.extents[:2], sheet.extents[:2], atol=2 * template.voxel_m)


def test_a_surface_that_crosses_itself_is_seen_and_one_that_does_not_is_clean() -> None:
    a = trimesh.creation.box((0.04, 0.024, 0.016))
    b = a.copy()
    b.apply_translation((0.02, 0.004, 0.003))
    assert winding_of(a).crossing == 0
    assert winding_of(a).inverted == 0
    both = winding_of(trimesh.util.concatenate([a, b]))
    assert both.crossing == pytest.approx(
        20 * 20 * 13 / (2 * 40 * 24 * 16 - 20 * 20 * 13), rel=0.25
    )
    b.invert()
    assert winding_of(trimesh.util.concatenate([a, b])).inverted > 0.2
