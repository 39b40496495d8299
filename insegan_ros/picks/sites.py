"""Where a cup seals on a known shape: found once on the template, looked up in every frame.

A camera's noise and pixels hide edges and grooves that are finer than a cup; a template that was
learned from many views shows them. So places are judged on the template, and the frame only says
which of them are seen and free.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from insegan_ros.picks.gripper import Gripper, SuctionCup

SITES = 500  # places that are judged, evenly spread over the surface
SECTORS = 12  # of the lip; each has to find surface
BEYOND_M = 0.0012  # the lip's radius is judged with so much more: poses are as uncertain as that
RADII = (1.0, 1.25, 1.6, 2.0)  # cup radii over which a larger flat place is looked for
LIFT_OFF_M = 0.004  # above the lip: what is lower than this beside the cup is not in its way
SAME_SIDE = 0.3  # cosine between normals of one surface; the far side of a wall has less


@dataclass(frozen=True)
class CupSites:
    """Places on a part where a cup's whole lip finds surface, in the part's own frame."""

    points: NDArray[np.float64]  # (M, 3) metres
    normals: NDArray[np.float64]  # (M, 3) unit, outward: of the plane under the lip
    uneven_m: NDArray[np.float64]  # (M,) of the lip: standard deviation from that plane
    room: NDArray[np.float64]  # (M,) 0 to 1: how far the flat place goes beyond the lip

    @staticmethod
    def of(
        points: NDArray[np.floating], normals: NDArray[np.floating], cup: SuctionCup
    ) -> CupSites:
        """Judge places that are spread evenly over a surface.

        Args:
            points: (P, 3) evenly spread over the part's surface, metres.
            normals: (P, 3) unit, outward.
            cup: what has to seal.
        """
        at: NDArray[np.float64] = np.asarray(points, np.float64)
        outward: NDArray[np.float64] = np.asarray(normals, np.float64)
        tree = cKDTree(at)
        step = max(len(at) // SITES, 1)
        found = [_judged(k, at, outward, tree=tree, cup=cup) for k in range(0, len(at), step)]
        rows = np.array([row for row in found if row is not None]).reshape(-1, 8)
        return CupSites(rows[:, :3], rows[:, 3:6], rows[:, 6], rows[:, 7])


def sites_for(segmenter: object, gripper: Gripper) -> CupSites | None:
    """A cup's places on the template that a segmenter poses; None without cup or template."""
    poses = getattr(segmenter, 'poses', None)
    if not poses or len(poses) > 1 or not isinstance(gripper, SuctionCup):
        return None
    surface = poses[0].surface
    return CupSites.of(surface.points, surface.normals, gripper)


def _judged(
    k: int,
    points: NDArray[np.float64],
    normals: NDArray[np.float64],
    *,
    tree: cKDTree,
    cup: SuctionCup,
) -> NDArray[np.float64] | None:
    """(8,) point, normal, unevenness and room of the place at point `k`; None: it is none."""
    lip = cup.cup_radius_m + BEYOND_M
    near = np.array(tree.query_ball_point(points[k], RADII[-1] * lip * 1.1))
    near = near[normals[near] @ normals[k] > SAME_SIDE]
    offset = points[near] - points[k]
    under = np.linalg.norm(offset, axis=1) < lip
    if under.sum() < 2 * SECTORS:
        return None
    middle = offset[under].mean(axis=0)
    normal = np.linalg.svd(offset[under] - middle, full_matrices=False)[2][2]
    normal = normal * np.sign(normal @ normals[k])
    height = (offset - middle) @ normal
    flat = offset - np.outer(offset @ normal, normal)
    across = np.linalg.norm(flat, axis=1)
    axis = np.eye(3)[np.argmin(np.abs(normal))]
    first = np.cross(normal, axis) / np.linalg.norm(np.cross(normal, axis))
    angle = np.arctan2(flat @ np.cross(normal, first), flat @ first)
    sector = np.minimum(((angle / (2 * np.pi) + 0.5) * SECTORS).astype(int), SECTORS - 1)
    room, uneven = -1, 0.0
    for number, factor in enumerate(RADII):
        ring = (across > 0.6 * factor * lip) & (across < factor * lip)
        within = np.abs(height) < 2 * cup.lip_gap_m
        if (
            len(np.unique(sector[ring & within])) < SECTORS
            or (ring & ~within).sum() > 0.03 * ring.sum()
        ):
            break
        if number == 0:
            uneven = float(height[across < lip].std())
        room = number
    if room < 0 or _own_way_blocked(points, points[k], normal, cup=cup):
        return None
    point = points[k] + ((middle @ normal) * normal)
    return np.concatenate([point, normal, [uneven, room / (len(RADII) - 1)]])


def _own_way_blocked(
    points: NDArray[np.float64], point: NDArray, normal: NDArray, *, cup: SuctionCup
) -> bool:
    """Whether the part itself stands where the tube has to come down."""
    offset = points - point
    along = offset @ normal
    across = np.linalg.norm(offset - np.outer(along, normal), axis=1)
    inside = (across < cup.tube_radius_m) & (along > LIFT_OFF_M) & (along < cup.tube_length_m)
    return bool(inside.sum() > 3)
