"""Solid modelling in millimetres: the few shapes that the procedural parts are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import trimesh
from numpy.typing import NDArray

from insegan_ros.optional import needed_for

with needed_for('making the shapes of parts'):
    import manifold3d

Solid: TypeAlias = manifold3d.Manifold
Outline = Sequence[tuple[float, float]]


def prism(outline: Outline, bottom: float, top: float) -> Solid:
    """An outline in the x-y plane, counter-clockwise, extruded from z = bottom to z = top."""
    section = manifold3d.CrossSection([np.asarray(outline, np.float64)])
    return section.extrude(top - bottom).translate((0, 0, bottom))


def cylinder(diameter: float, bottom: float, top: float, *, segments: int = 64) -> Solid:
    """A cylinder about z."""
    return Solid.cylinder(top - bottom, diameter / 2, -1, segments).translate((0, 0, bottom))


def lathe(profile: Outline, segments: int = 64) -> Solid:
    """A profile of (radius, z), counter-clockwise, turned about z."""
    return manifold3d.CrossSection([np.asarray(profile, np.float64)]).revolve(segments)


def turned(outer: Outline, segments: int = 20) -> Solid:
    """The convex solid inside circles of (radius, z), in few corners: a collision piece."""
    reach = _corner_reach(segments)
    rims = [(radius * reach, z) for radius, z in outer]
    return lathe([(0.0, outer[0][1]), *rims, (0.0, outer[-1][1])], segments)


def _corner_reach(corners: int) -> float:
    """What a polygon's corners reach so that it lies half inside, half outside the unit circle."""
    return float(1 / np.sqrt(np.cos(np.pi / corners)))


def bent_rod(radius: float, tube: float, degrees: float, *, steps: int, segments: int) -> Solid:
    """A round rod of radius `tube`, bent about z at `radius`, from the x axis on."""
    circle = manifold3d.CrossSection.circle(tube, segments).translate((radius, 0))
    return circle.revolve(round(steps * 360 / degrees), degrees)


def box(size: Sequence[float], centre: Sequence[float]) -> Solid:
    """An axis-aligned box."""
    return Solid.cube(tuple(size), True).translate(tuple(centre))


def regular_polygon(corners: int, across_corners: float, start_degrees: float = 0) -> Outline:
    """Corners of a regular polygon, the first at `start_degrees` from x."""
    angles = np.radians(start_degrees) + np.arange(corners) * 2 * np.pi / corners
    points = across_corners / 2 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return [(float(x), float(y)) for x, y in points]


def rounded_rectangle(width: float, height: float, radius: float, *, steps: int = 6) -> Outline:
    """A rectangle about the origin with rounded corners."""
    points = []
    for quarter, (x, y) in enumerate(((1, 1), (-1, 1), (-1, -1), (1, -1))):
        centre = (x * (width / 2 - radius), y * (height / 2 - radius))
        for angle in np.pi / 2 * (quarter + np.arange(steps + 1) / steps):
            points.append(
                (
                    float(centre[0] + radius * np.cos(angle)),
                    float(centre[1] + radius * np.sin(angle)),
                )
            )
    return points


def ring_pieces(
    outer: float, inner: float, bottom: float, *, top: float, count: int
) -> list[Solid]:
    """A tube of `outer` and `inner` diameter as `count` convex wedges: its bore stays open."""
    half = np.pi / count
    reach, bore = outer / 2 * _corner_reach(count), inner / 2 * _corner_reach(count)
    pieces = []
    for k in range(count):
        a, b = 2 * np.pi * k / count - half, 2 * np.pi * k / count + half
        outline = [
            (r * float(np.cos(t)), r * float(np.sin(t)))
            for r, t in ((bore, a), (reach, a), (reach, b), (bore, b))
        ]
        pieces.append(prism(outline, bottom, top))
    return pieces


def swept(path: NDArray[np.float64], radius: float, sides: int) -> list[Solid]:
    """A rod of a regular polygon's section along (N, 3) points, as N - 1 convex pieces.

    Its joints are mitred; sharp ones are cut short, so that they do not stick out.
    """
    steps = np.diff(path, axis=0)
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    along = np.concatenate([steps[:1], steps[:-1] + steps[1:], steps[-1:]])
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    across = np.cross(steps[0], np.eye(3)[np.argmin(np.abs(steps[0]))])
    angles = np.arange(sides) * 2 * np.pi / sides
    rims = []
    for place, direction in zip(path, along):
        across = across - (across @ direction) * direction  # carried along without a twist
        across /= np.linalg.norm(across)
        other = np.cross(direction, across)
        circle = np.outer(np.cos(angles), across) + np.outer(np.sin(angles), other)
        rims.append(place + radius * circle)
    return [Solid.hull_points(np.concatenate(pair)) for pair in pairwise(rims)]


def union(solids: Iterable[Solid]) -> Solid:
    """One solid of several."""
    return Solid.batch_boolean(list(solids), manifold3d.OpType.Add)


def hull(solids: Iterable[Solid]) -> Solid:
    """The convex hull of several solids."""
    return Solid.batch_hull(list(solids))


def to_mesh(solid: Solid, offset_mm: NDArray[np.float64] | None = None) -> trimesh.Trimesh:
    """A watertight mesh in metres, moved by `offset_mm` first."""
    mesh = solid.to_mesh64()
    vertices = np.asarray(mesh.vert_properties, np.float64)[:, :3]
    if offset_mm is not None:
        vertices = vertices + offset_mm
    return trimesh.Trimesh(vertices * 1e-3, np.asarray(mesh.tri_verts, np.int64), process=False)
