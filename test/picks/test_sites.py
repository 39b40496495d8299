from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import trimesh
from scenes import HEIGHT, boxes

from insegan_ros.picks.gripper import ParallelJaw, SuctionCup
from insegan_ros.picks.planner import plan_picks
from insegan_ros.picks.sites import CupSites, sites_for
from insegan_ros.types import InstanceImages

CUP = SuctionCup(cup_radius_m=0.004, tube_radius_m=0.005)
TOP = 0.03  # m, of the box


def surface_of(mesh, count=8000):
    points, faces = trimesh.sample.sample_surface(mesh, count, seed=0)
    return np.asarray(points), np.asarray(mesh.face_normals[faces])


@pytest.fixture(scope='module')
def box_sites():
    return CupSites.of(*surface_of(trimesh.creation.box((0.06, 0.04, TOP))), CUP)


def test_places_on_a_box_keep_the_whole_lip_on_one_of_its_faces(box_sites):
    half = np.array([0.03, 0.02, TOP / 2])
    axis = np.abs(box_sites.normals).argmax(axis=1)
    assert np.abs(box_sites.normals).max(axis=1).min() > 0.99
    for along in range(3):
        others = [k for k in range(3) if k != along]
        on_face = box_sites.points[axis == along][:, others]
        assert len(on_face)
        assert (np.abs(on_face) < half[others] - 0.8 * CUP.cup_radius_m).all()


def test_a_ring_narrower_than_the_cup_has_no_place_on_its_flat_side():
    ring = trimesh.creation.annulus(r_min=0.012, r_max=0.018, height=0.03)
    sites = CupSites.of(*surface_of(ring), CUP)
    assert not (np.abs(sites.normals[:, 2]) > 0.9).any()


def test_only_a_cup_and_a_segmenter_with_a_template_have_places():
    points, normals = surface_of(trimesh.creation.box((0.06, 0.04, TOP)), 2000)
    surface = SimpleNamespace(points=points, normals=normals)
    posed = SimpleNamespace(poses=(SimpleNamespace(surface=surface),))
    assert sites_for(posed, CUP) is not None
    assert sites_for(posed, ParallelJaw()) is None
    assert sites_for(SimpleNamespace(poses=()), CUP) is None
    assert sites_for(object(), CUP) is None


def posed_box(found):
    """The same instance with the template's pose and a rendering a little beside the depth."""
    pose = np.eye(4, dtype=np.float32)
    pose[2, 3] = HEIGHT - TOP / 2
    rows, columns, depth = found.depths.crops[0]
    rendered = InstanceImages(
        found.depths.size, ((rows, columns, depth + 1e-4),), np.float32('nan')
    )
    return replace(found, poses=pose[None], depths=rendered)


def test_a_groove_that_only_the_template_knows_is_not_picked(box_sites):
    frame, found, parts_bin = boxes((0, 0, 0.06, 0.04, TOP))
    found = posed_box(found)
    kept = np.abs(box_sites.points[:, 0]) > 0.012  # as if a groove crossed the middle
    sites = CupSites(
        box_sites.points[kept],
        box_sites.normals[kept],
        box_sites.uneven_m[kept],
        box_sites.room[kept],
    )
    (plain,) = plan_picks(frame, found, parts_bin, gripper=CUP).picks
    (pick,) = plan_picks(frame, found, parts_bin, gripper=CUP, sites=sites).picks
    assert abs(plain.pose[0, 3]) < 0.006
    assert abs(pick.pose[0, 3]) > 0.011
    assert pick.pose[2, 3] == pytest.approx(HEIGHT - TOP, abs=0.001)


def test_a_template_that_does_not_fit_the_frame_gives_no_place(box_sites):
    frame, found, parts_bin = boxes((0, 0, 0.06, 0.04, TOP))
    found = posed_box(found)
    wrong = found.poses.copy()
    wrong[0, 2, 3] -= 0.02
    plan = plan_picks(frame, replace(found, poses=wrong), parts_bin, gripper=CUP, sites=box_sites)
    (pick,) = plan.picks  # the measured surface's
    assert pick.cues.smooth == 0
    assert pick.pose[2, 3] == pytest.approx(HEIGHT - TOP, abs=0.001)


def test_a_frame_without_parts_gives_an_empty_plan(box_sites):
    frame, found, parts_bin = boxes()
    plan = plan_picks(frame, found, parts_bin, gripper=CUP, sites=box_sites)
    assert plan.picks == plan.none == ()
