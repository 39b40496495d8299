"""Parts drawn at random: shapes of no product, from which a network learns what any pile is like.

A part is one to four simple solids, stacked along an axis or stuck to each other's sides: plates,
shafts, rings, cones, brackets, trays, rows of posts. None is modelled on a part of `parts.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import trimesh
from numpy.typing import NDArray

from insegan_ros.synthetic.part_families import FAMILIES
from insegan_ros.synthetic.parts import Part
from insegan_ros.synthetic.shapes import (
    Solid,
    box,
    prism,
    regular_polygon,
    ring_pieces,
    to_mesh,
    turned,
    union,
)

THINNEST = 0.25  # least side of a compact part, of its longest
COMPACT = 0.35  # share of compact parts among those of any kind
MOST_PIECES = 64
MAX_DRAWS = 200


def random_part(rng: np.random.Generator, length_m: float) -> Part:
    """A compact part whose longest side is `length_m`; convex pieces included."""
    return _drawn(rng, _draw, length_m, thinnest=THINNEST)


def part_of_any_kind(rng: np.random.Generator, length_m: float) -> Part:
    """A compact part, or one of the `part_families`: thin, bent, hollow, toothed."""
    draw = _draw if rng.random() < COMPACT else FAMILIES[rng.integers(len(FAMILIES))]
    try:
        return _drawn(rng, draw, length_m, thinnest=0.0)
    except RuntimeError:  # a kind of which too many fall apart
        return _drawn(rng, _draw, length_m, thinnest=0.0)


def _drawn(
    rng: np.random.Generator,
    draw: Callable[[np.random.Generator], list[Solid]],
    length_m: float,
    *,
    thinnest: float,
) -> Part:
    """Raises: RuntimeError where no draw is one solid."""
    for _ in range(MAX_DRAWS):
        pieces = draw(rng)
        solid = union(pieces)
        if len(solid.decompose()) != 1 or len(pieces) > MOST_PIECES:
            continue
        mesh = to_mesh(solid)
        sides = np.sort(mesh.extents)
        if sides[0] < thinnest * sides[2] or not mesh.is_watertight:
            continue
        scale = length_m / sides[2]
        offset = -mesh.center_mass
        return Part('random', _moved(mesh, offset, scale), [
            _moved(to_mesh(piece), offset, scale) for piece in pieces
        ])  # fmt: skip
    raise RuntimeError(f'{MAX_DRAWS} random shapes in a row fell apart')


def _moved(mesh: trimesh.Trimesh, offset: NDArray[np.float64], scale: float) -> trimesh.Trimesh:
    return trimesh.Trimesh((mesh.vertices + offset) * scale, mesh.faces, process=False)


def _draw(rng: np.random.Generator) -> list[Solid]:
    """Convex pieces in millimetres."""
    pieces: list[Solid] = []
    middle: NDArray[np.float64] = np.zeros(3)
    half: NDArray[np.float64] = np.zeros(3)  # of the box around the solids so far
    for k in range(int(rng.integers(1, 5))):
        added = _SOLIDS[rng.integers(len(_SOLIDS))](rng)
        axis = 2 if rng.random() < 0.5 else int(rng.integers(3))  # stacked, or to a side
        if k and axis != 2 and rng.random() < 0.5:
            added = [piece.rotate((90, 0, 0) if axis == 1 else (0, 90, 0)) for piece in added]
        own_middle, own_half = _extent(added)
        place = middle - own_middle
        if k:
            reach = half[axis] + own_half[axis] * rng.uniform(0.3, 0.95)
            place[axis] += reach * rng.choice((-1, 1))
            if rng.random() < 0.5:  # not centred
                other = (axis + 1 + int(rng.integers(2))) % 3
                place[other] += rng.uniform(-1, 1) * abs(half[other] - own_half[other])
        pieces += [piece.translate(tuple(place)) for piece in added]
        middle, half = _extent(pieces)
    return pieces


def _extent(pieces: list[Solid]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Middle and half the sides of the box around them."""
    bounds = np.array([piece.bounding_box() for piece in pieces]).reshape(-1, 2, 3)
    low, high = bounds[:, 0].min(axis=0), bounds[:, 1].max(axis=0)
    return (low + high) / 2, (high - low) / 2


def _block(rng: np.random.Generator) -> list[Solid]:
    return [box(rng.uniform(8, 50, 3).tolist(), (0, 0, 0))]


def _prism(rng: np.random.Generator) -> list[Solid]:
    corners = int(rng.choice((3, 5, 6, 8)))
    return [prism(regular_polygon(corners, rng.uniform(16, 50)), 0, rng.uniform(6, 50))]


def _shaft(rng: np.random.Generator) -> list[Solid]:
    return [turned([(r := rng.uniform(4, 22), 0), (r, rng.uniform(6, 60))], 16)]


def _cone(rng: np.random.Generator) -> list[Solid]:
    wide = rng.uniform(8, 24)
    return [turned([(wide, 0), (wide * rng.uniform(0.2, 0.9), rng.uniform(8, 55))], 16)]


def _ring(rng: np.random.Generator) -> list[Solid]:
    outer = rng.uniform(24, 56)
    inner = outer * rng.uniform(0.35, 0.75)
    return ring_pieces(
        outer, inner, 0, top=rng.uniform(8, 40), count=int(rng.choice((4, 6, 8, 10)))
    )


def _channel(rng: np.random.Generator) -> list[Solid]:
    """A floor and two sides, or one: a tray, a bracket."""
    x, y, z = rng.uniform((24, 16, 12), (56, 40, 36))
    wall = rng.uniform(4, 8)
    floor = box((x, y, wall), (0, 0, wall / 2))
    sides = [box((wall, y, z), (s * (x - wall) / 2, 0, z / 2)) for s in (-1, 1)]
    return [floor, *sides[: int(rng.integers(1, 3))]]


def _tray(rng: np.random.Generator) -> list[Solid]:
    """A floor and four sides, open above."""
    x, y, z = rng.uniform((24, 20, 10), (56, 44, 36))
    wall = rng.uniform(2.5, 6)
    long = [box((wall, y, z), (s * (x - wall) / 2, 0, z / 2)) for s in (-1, 1)]
    short = [box((x, wall, z), (0, s * (y - wall) / 2, z / 2)) for s in (-1, 1)]
    return [box((x, y, wall), (0, 0, wall / 2)), *long, *short]


def _posts(rng: np.random.Generator) -> list[Solid]:
    """Equal pins, ribs or studs in a row or two on a plate."""
    columns, rows = int(rng.integers(2, 7)), int(rng.integers(1, 3))
    pitch, deep = rng.uniform(7, 14), rng.uniform(8, 18)
    tall, foot = rng.uniform(6, 30), rng.uniform(3, 14)
    thick = pitch * rng.uniform(0.3, 0.65)
    if rng.random() < 0.6:
        post = turned([(thick / 2, 0), (thick / 2 * rng.uniform(0.6, 1), foot + tall)], 8)
    else:
        post = box((thick, rng.uniform(thick, deep), foot + tall), (0, 0, (foot + tall) / 2))
    places = [
        ((i - (columns - 1) / 2) * pitch, (j - (rows - 1) / 2) * deep)
        for i in range(columns)
        for j in range(rows)
    ]
    plate = box((columns * pitch, rows * deep, foot), (0, 0, foot / 2))
    return [plate, *[post.translate((x, y, 0)) for x, y in places]]


_SOLIDS: tuple[Callable[[np.random.Generator], list[Solid]], ...] = (
    _block,
    _prism,
    _shaft,
    _cone,
    _ring,
    _channel,
    _tray,
    _posts,
)
