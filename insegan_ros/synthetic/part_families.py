"""Kinds of parts that bins hold, drawn at random: pins, wires, washers, gears, cups, castings.

Every kind is a function of a generator that returns convex solids in millimetres, about 20 to 100
across, which together are the part. None is modelled on a part of `parts.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from insegan_ros.synthetic.shapes import (
    Solid,
    box,
    hull,
    prism,
    regular_polygon,
    ring_pieces,
    swept,
    turned,
)


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    """Between two sizes, small ones as often as large ones."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def pin(rng: np.random.Generator) -> list[Solid]:
    """A round or square rod, up to 20 times as long as thick, some with a head."""
    thick = 60 / _between(rng, 2.5, 20)
    sides = int(rng.choice((4, 6, 10, 12)))
    rod = turned([(thick / 2, 0), (thick / 2 * rng.choice((1.0, rng.uniform(0.5, 1))), 60)], sides)
    if rng.random() < 0.6:
        return [rod]
    wide, tall = thick * rng.uniform(1.3, 2.6), thick * rng.uniform(0.3, 1.2)
    return [rod, turned([(wide / 2, -tall), (wide / 2, 0)], int(rng.choice((6, 12))))]


def wire(rng: np.random.Generator) -> list[Solid]:
    """A rod bent two to five times, flat or in space: hooks, staples, clips."""
    thick = 60 / _between(rng, 6, 22)
    turn, axis = np.array([1.0, 0, 0]), np.array([0, 0, 1.0])
    path: list[NDArray[np.float64]] = [np.zeros(3)]
    for _ in range(int(rng.integers(2, 6))):
        path.append(path[-1] + turn * rng.uniform(6, 45))
        if rng.random() < 0.25:  # leaves its plane
            axis = np.cross(turn, axis)
        bend, steps = rng.uniform(0.4, np.pi) * rng.choice((-1, 1)), int(rng.integers(2, 5))
        radius = thick * rng.uniform(1.2, 4)
        for _ in range(steps):
            turn = _rotated(turn, axis, bend / steps)
            path.append(path[-1] + turn * abs(bend) / steps * radius)
    path.append(path[-1] + turn * rng.uniform(6, 40))
    return swept(np.array(path), thick / 2, int(rng.choice((6, 8))))


def _rotated(v: NDArray, axis: NDArray, angle: float) -> NDArray:
    """A vector turned about a unit axis that is normal to it."""
    return v * np.cos(angle) + np.cross(axis, v) * np.sin(angle)


def spring(rng: np.random.Generator) -> list[Solid]:
    """A helix of two to five turns."""
    turns, each = rng.uniform(2, 4.5), 8
    radius = rng.uniform(8, 20)
    thick = radius * rng.uniform(0.12, 0.3)
    pitch = 2 * thick * rng.uniform(1.25, 2.5)
    angle = np.linspace(0, 2 * np.pi * turns, int(turns * each))
    path = np.stack([radius * np.cos(angle), radius * np.sin(angle), pitch * angle / 6.28], 1)
    return swept(path, thick, 6)


def washer(rng: np.random.Generator) -> list[Solid]:
    """A flat ring, or a disc."""
    tall = 50 * _between(rng, 0.03, 0.2)
    if rng.random() < 0.25:
        return [turned([(25, 0), (25 * rng.uniform(0.8, 1), tall)], int(rng.choice((6, 8, 16))))]
    return ring_pieces(
        50, 50 * rng.uniform(0.3, 0.85), 0, top=tall, count=int(rng.choice((4, 6, 8, 10)))
    )


def plate(rng: np.random.Generator) -> list[Solid]:
    """Strips of sheet that make an L, T, H, or comb, or one plate of any outline."""
    thick = 60 * _between(rng, 0.03, 0.15)
    x, y = 60.0, 60 * rng.uniform(0.15, 0.9)
    strip = 60 * rng.uniform(0.08, 0.3)
    if rng.random() < 0.35:
        corners = rng.uniform(-1, 1, (int(rng.integers(4, 9)), 3)) * [x / 2, y / 2, 0]
        return [hull([prism(regular_polygon(5, strip), 0, thick).translate(tuple(c))
                      for c in corners])]  # fmt: skip
    pieces = [box((x, strip, thick), (0, 0, thick / 2))]
    for _ in range(int(rng.integers(1, 4))):
        side, at = rng.choice((-1, 1)), rng.uniform(-0.5, 0.5) * (x - strip)
        long = y * rng.uniform(0.3, 1)
        pieces.append(box((strip, long, thick), (at, side * long / 2, thick / 2)))
    return pieces


def bracket(rng: np.random.Generator) -> list[Solid]:
    """Sheet bent once or twice, with holes left open by strips, some with a gusset."""
    thick = 60 * _between(rng, 0.03, 0.12)
    x, y = 60 * rng.uniform(0.4, 1), 60 * rng.uniform(0.3, 1)
    pieces = [box((x, y, thick), (0, 0, thick / 2))]
    if rng.random() < 0.4:  # a window in the floor
        rim = rng.uniform(0.15, 0.3)
        pieces = [box((x, y * rim, thick), (0, s * y * (1 - rim) / 2, thick / 2)) for s in (-1, 1)]
        pieces += [box((x * rim, y, thick), (s * x * (1 - rim) / 2, 0, thick / 2))
                   for s in (-1, 1)]  # fmt: skip
    kind = rng.choice(('l', 'u', 'z'))
    tall = 60 * rng.uniform(0.25, 1)
    wide = y * rng.choice((1.0, rng.uniform(0.3, 1)))
    for k, side in enumerate((-1, 1) if kind != 'l' else (1,)):
        up = -1 if kind == 'z' and k else 1
        height = tall * (1 if k == 0 else rng.uniform(0.5, 1))
        centre = up * height / 2 + (thick if up < 0 else 0)
        pieces.append(box((thick, wide, height), (side * (x - thick) / 2, 0, centre)))
    if kind == 'l' and rng.random() < 0.4:
        gusset = [(x / 2, 0.0), (x / 2, min(tall, x) * 0.7), (x / 2 - min(tall, x) * 0.7, 0.0)]
        pieces.append(prism(gusset, -thick / 2, thick / 2).rotate((90, 0, 0)))
    return pieces


def star(rng: np.random.Generator) -> list[Solid]:
    """Four to nine arms about a core, pointed or blunt: stars, crosses, knobs."""
    arms, thick = int(rng.integers(3, 10)), 56 * _between(rng, 0.06, 0.5)
    core = 56 * rng.uniform(0.3, 0.65)
    root, tip = core * np.sin(np.pi / arms) * rng.uniform(0.4, 1), rng.choice((0.1, 0.5, 1.0))
    pieces = [prism(regular_polygon(max(arms, 5), core), 0, thick)]
    for k in range(arms):
        end = 28.0
        outline = [
            (core * 0.2, -root / 2),
            (end, -root * tip / 2),
            (end, root * tip / 2),
            (core * 0.2, root / 2),
        ]
        pieces.append(prism(outline, 0, thick).rotate((0, 0, 360 * k / arms)))
    return pieces


def gear(rng: np.random.Generator) -> list[Solid]:
    """A toothed disc, bored or with a hub."""
    teeth = int(rng.integers(8, 17))
    thick, root = 60 * _between(rng, 0.08, 0.6), 60 * rng.uniform(0.72, 0.88)
    if rng.random() < 0.5:
        pieces = ring_pieces(root, root * rng.uniform(0.2, 0.6), 0, top=thick, count=8)
    else:
        pieces = [turned([(root / 2, 0), (root / 2, thick)], 16)]
        hub = root * rng.uniform(0.2, 0.5)
        pieces.append(turned([(hub / 2, 0), (hub / 2, thick * rng.uniform(1, 2.5))], 12))
    foot = np.pi * root / teeth * rng.uniform(0.4, 0.6)
    outline = [
        (root / 2 - 2, -foot / 2),
        (30, -foot * 0.3),
        (30, foot * 0.3),
        (root / 2 - 2, foot / 2),
    ]
    tooth = prism(outline, 0, thick)
    return [*pieces, *(tooth.rotate((0, 0, 360 * k / teeth)) for k in range(teeth))]


def cup(rng: np.random.Generator) -> list[Solid]:
    """A vessel open above, round or many-sided, straight or tapered; a tube without a floor."""
    count = int(rng.choice((4, 6, 8, 10)))
    top, tall = rng.uniform(18, 30), 60 * rng.uniform(0.25, 1.2)
    low, wall = top * rng.uniform(0.6, 1.0), rng.uniform(1.5, 5)
    pieces = []
    half = np.pi / count
    for k in range(count):
        a, b = 2 * np.pi * k / count - half, 2 * np.pi * k / count + half
        corners = [
            (r * np.cos(t), r * np.sin(t), z)
            for radius, z in ((low, 0.0), (top, tall))
            for r in (radius - wall, radius)
            for t in (a, b)
        ]
        pieces.append(Solid.hull_points(np.array(corners)))
    if rng.random() < 0.75:
        polygon = regular_polygon(count, 2 * low, float(np.degrees(half)))
        pieces.append(prism(polygon, 0, wall * rng.uniform(0.8, 2)))
    return pieces


def elbow(rng: np.random.Generator) -> list[Solid]:
    """A thick round or square rod, bent once or twice, some with collars: fittings, levers."""
    thick = 60 * rng.uniform(0.22, 0.55)
    bend = np.radians(rng.uniform(30, 130))
    radius = thick * rng.uniform(0.55, 1.5)
    steps = 5
    start, end = (rng.uniform(0.1, 1) * 30 for _ in range(2))
    angles = np.linspace(0, bend, steps + 1)
    arc = np.stack([radius * np.sin(angles), radius * (1 - np.cos(angles)), 0 * angles], axis=1)
    out = np.array([np.cos(bend), np.sin(bend), 0])
    path = np.concatenate([[[-start, 0, 0]], arc, [arc[-1] + end * out]])
    if rng.random() < 0.25:  # an S, or out of the plane
        last = _rotated(out, np.array([0, 0, 1.0]), -bend * rng.uniform(0.5, 1))
        last[2] += rng.uniform(-0.5, 0.5)
        path = np.concatenate([path, [path[-1] + last * rng.uniform(10, 30)]])
    sides = int(rng.choice((4, 8, 12)))
    pieces = swept(path, thick / 2, sides)
    for at, towards in ((path[0], path[1]), (path[-1], path[-2])):
        if rng.random() < 0.4:
            away = (towards - at) / np.linalg.norm(towards - at)
            collar = np.stack([at, at + away * thick * rng.uniform(0.15, 0.5)])
            pieces += swept(collar, thick / 2 * rng.uniform(1.1, 1.35), sides)
    return pieces


def casting(rng: np.random.Generator) -> list[Solid]:
    """Round bosses of several heights, joined by ribs: levers, rockers, flanges, housings."""
    count = int(rng.integers(2, 5))
    places = rng.uniform(-1, 1, (count, 2)) * [40, rng.uniform(5, 35)]
    web, wide = rng.uniform(4, 12), rng.uniform(0.3, 1.0)
    pieces, rims = [], []
    for x, y in places:
        radius, tall = rng.uniform(6, 20), web * rng.uniform(1, 4)
        base = (float(x), float(y), float(-tall * rng.uniform(0, 0.5)))
        if rng.random() < 0.35:
            ring = ring_pieces(2 * radius, radius * rng.uniform(0.6, 1.3), 0, top=tall, count=6)
            pieces += [piece.translate(base) for piece in ring]
        else:
            pieces.append(turned([(radius, 0), (radius, tall)], 12).translate(base))
        rim = turned([(radius * wide, 0), (radius * wide, web)], 10)
        rims.append(rim.translate((float(x), float(y), 0.0)))
    joined = range(1, count)
    pieces += [hull([rims[int(rng.integers(k))], rims[k]]) for k in joined]
    return pieces


FAMILIES: tuple[Callable[[np.random.Generator], list[Solid]], ...] = (
    pin,
    wire,
    spring,
    washer,
    plate,
    bracket,
    star,
    gear,
    cup,
    elbow,
    casting,
)
