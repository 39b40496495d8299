"""Procedural parts: a detailed visual mesh and the convex pieces that collide in its place.

docs/parts.md shows them. Each is built in millimetres, about its own axes, and handed out in
metres about its centre of mass (uniform density).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import trimesh

from insegan_ros.synthetic.shapes import (
    Solid,
    box,
    cylinder,
    hull,
    lathe,
    prism,
    regular_polygon,
    ring_pieces,
    rounded_rectangle,
    to_mesh,
    union,
)


@dataclass(frozen=True)
class Part:
    """A rigid part in metres, its centre of mass at the origin."""

    name: str
    mesh: trimesh.Trimesh  # watertight, what a camera sees
    convex_pieces: list[trimesh.Trimesh]  # what collides: together the mesh, concavities open

    @property
    def length(self) -> float:
        """Longest side of the mesh's own bounding box, metres: bins are sized by it."""
        return float(self.mesh.extents.max())


Built = tuple[Solid, list[Solid]]  # the visual solid and its convex pieces


def _nut() -> Built:
    """A hexagonal ring 56.0 x 48.5 x 18.0 mm, both faces chamfered, an M30-like hole."""
    hexagon = prism(regular_polygon(6, 56.0), -9, 9)
    chamfer = lathe([(0, -9), (25.2, -9), (28.2, -7.3), (28.2, 7.3), (25.2, 9), (0, 9)], 96)
    hole = lathe([(0, -10), (17, -10), (15, -7), (15, 7), (17, 10), (0, 10)])
    pieces = []
    for k in range(6):
        a, b = np.radians(60 * k), np.radians(60 * (k + 1))
        bore = 15.0 / np.cos(np.radians(30))
        outline = [
            (r * float(np.cos(t)), r * float(np.sin(t)))
            for r, t in ((bore, a), (28.0, a), (28.0, b), (bore, b))
        ]
        pieces.append(prism(outline, -9, 9))
    return (hexagon ^ chamfer) - hole, pieces


def _stopper() -> Built:
    """A rubber stopper: a tapered plug under a cap with a grip."""
    plug = lathe([(0, 0), (12, 0), (13, 1), (16, 28), (0, 28)])
    cap = lathe([(0, 28), (21, 28), (22, 29), (22, 34), (21, 35), (0, 35)])
    grip = lathe([(0, 35), (8, 35), (9, 44), (8, 46), (0, 46)])
    return union([plug, cap, grip]), [
        cylinderish([(12, 0), (16, 28)]),
        cylinderish([(22, 28), (22, 35)]),
        cylinderish([(8, 35), (9, 46)]),
    ]


def cylinderish(profile: list[tuple[float, float]], segments: int = 20) -> Solid:
    """The convex solid between circles of (radius, z), low in corners: a collision piece."""
    rings = [(0.0, profile[0][1]), *profile, (0.0, profile[-1][1])]
    return lathe(rings, segments)


def _cylinder() -> Built:
    """A plain turned cylinder 50 x 28 mm with chamfered edges."""
    solid = lathe([(0, 0), (12.8, 0), (14, 1.2), (14, 48.8), (12.8, 50), (0, 50)])
    return solid, [cylinderish([(13, 0), (14, 1.2), (14, 48.8), (13, 50)], 24)]


def _bolt() -> Built:
    """A hexagon head bolt, 28 mm across corners, M14-like shank with a thread."""
    head = prism(regular_polygon(6, 32.0), 0, 11)
    head = head ^ lathe([(0, 0), (14, 0), (16.2, 1.6), (16.2, 11), (0, 11)], 96)
    profile: list[tuple[float, float]] = [(0, 11), (7.5, 11), (7.5, 22)]
    for k in range(13):
        profile += [(7.6, 22 + 2.5 * k), (6.3, 23.25 + 2.5 * k)]
    profile += [(7.6, 54.5), (6.2, 56), (0, 56)]
    return union([head, lathe(profile, 48)]), [
        prism(regular_polygon(6, 32.0), 0, 11),
        cylinderish([(7.5, 11), (7.5, 55), (6.2, 56)]),
    ]


def _cone() -> Built:
    """A truncated cone, 44 mm wide at its foot and 52 mm high."""
    solid = lathe([(0, 0), (21, 0), (22, 1), (22, 3), (4.5, 50.5), (3, 52), (0, 52)])
    return solid, [cylinderish([(22, 0), (22, 3), (4.5, 50.5), (3, 52)], 24)]


def _connector() -> Built:
    """A cable connector: a housing open in front, two contact cavities, a latch, a collar."""
    outer = prism(rounded_rectangle(40, 24, 3), 0, 26)
    cavity = prism(rounded_rectangle(34, 18, 2), 10, 27)
    tongue = box((28, 5, 12), (0, 0, 16))
    collar = prism(rounded_rectangle(26, 16, 4), -14, 0)
    slots = [box((27, 17, 1.6), (0, 0, z)) - box((23, 13, 2), (0, 0, z)) for z in (-4, -8, -12)]
    latch = box((10, 5, 20), (0, 13.5, 14)) + box((10, 3, 4), (0, 16.5, 22))
    ears = box((48, 10, 5), (0, 0, 3))
    solid = union([(outer - cavity), tongue, collar, latch, ears]) - union(slots)
    pieces = [
        hull([prism(rounded_rectangle(40, 24, 3, 1), 0, 10)]),
        box((40, 3, 16), (0, 10.5, 18)),
        box((40, 3, 16), (0, -10.5, 18)),
        box((3, 24, 16), (18.5, 0, 18)),
        box((3, 24, 16), (-18.5, 0, 18)),
        tongue,
        prism(rounded_rectangle(26, 16, 4, 1), -14, 0),
        hull([box((10, 5, 20), (0, 13.5, 14)), box((10, 3, 4), (0, 16.5, 22))]),
        ears,
    ]
    return solid, pieces


def _five_pin() -> Built:
    """A power header: a bevelled block and five round pins in a row."""
    base = hull([box((50, 14, 12), (0, 0, 6)), box((48, 12, 15), (0, 0, 7.5))])
    groove = box((52, 3, 2), (0, 0, 0.5))
    places = [-20, -10, 0, 10, 20]
    pin = lathe([(0, 15), (2.2, 15), (2.2, 37), (1.2, 39), (0, 39)], 24)
    solid = union([base - groove, *[pin.translate((x, 0, 0)) for x in places]])
    piece = cylinderish([(2.2, 15), (2.2, 37), (1.2, 39)], 8)
    return solid, [base, *[piece.translate((x, 0, 0)) for x in places]]


def _obj_01() -> Built:
    """Like a lamp socket: a wide foot, a ribbed neck, a round hole down from its top."""
    profile: list[tuple[float, float]] = [(0, 0), (21, 0), (22, 1), (22, 12), (20, 14), (16.5, 14)]
    for k in range(5):
        profile += [(17, 17 + 4 * k), (15.6, 19 + 4 * k)]
    profile += [(16.5, 38), (16, 40), (11, 40), (11, 18), (0, 18)]
    solid = lathe(profile)
    slot = box((6, 3, 8), (21, 0, 6)) + box((6, 3, 8), (-21, 0, 6))
    return solid - slot, [
        cylinderish([(22, 0), (22, 12), (20, 14)], 20),
        cylinderish([(16.5, 14), (16.5, 18)], 16),
        *ring_pieces(33.5, 22, 18, 40, 8),
    ]


def _obj_05() -> Built:
    """Like a junction box: an open tray with a rim, screw posts and two conduit collars."""
    tray = prism(rounded_rectangle(38, 30, 4), 0, 20) - prism(rounded_rectangle(33, 25, 3), 3, 21)
    collars = cylinder(16, 18, 26, 40).rotate((0, 90, 0)).translate((0, 0, 10))
    collars += cylinder(16, 18, 26, 40).rotate((0, -90, 0)).translate((0, 0, 10))
    bores = cylinder(11, -30, 30, 40).rotate((0, 90, 0)).translate((0, 0, 10))
    posts = [cylinder(6, 0, 17, 24).translate((x, y, 0)) for x, y in ((12, 8), (-12, -8))]
    solid = union([union([tray, collars]) - bores, *posts])
    pieces = [
        box((38, 30, 3), (0, 0, 1.5)),
        box((38, 2.5, 17), (0, 13.75, 11.5)),
        box((38, 2.5, 17), (0, -13.75, 11.5)),
        box((2.5, 30, 17), (17.75, 0, 11.5)),
        box((2.5, 30, 17), (-17.75, 0, 11.5)),
    ]
    for side in (90, -90):
        tube = cylinderish([(8, 19), (8, 26)], 12).rotate((0, side, 0))
        pieces.append(tube.translate((0, 0, 10)))
    pieces += [box((5, 5, 17), (x, y, 8.5)) for x, y in ((12, 8), (-12, -8))]
    return solid, pieces


def _obj_14() -> Built:
    """Like a flush wall socket: a square plate, a round recess with two holes, a body behind."""
    plate = prism(rounded_rectangle(48, 48, 5), 0, 9)
    body = prism(rounded_rectangle(30, 30, 8), -18, 0)
    recess = cylinder(36, 2, 10)
    holes = [cylinder(5, -6, 3, 24).translate((x, 0, 0)) for x in (9.5, -9.5)]
    clips = [box((3, 8, 14), (x, 0, -8)) for x in (16.5, -16.5)]
    solid = union([plate, body, *clips]) - union([recess, *holes])
    pieces = [prism(rounded_rectangle(48, 48, 5, 1), 0, 2)]
    square = [(24.0, 24.0), (-24.0, 24.0), (-24.0, -24.0), (24.0, -24.0)]
    for k in range(4):
        (ax, ay), (bx, by) = square[k], square[(k + 1) % 4]
        frame = [(ax, ay), (bx, by), (bx * 0.62, by * 0.62), (ax * 0.62, ay * 0.62)]
        pieces.append(prism(frame, 2, 9))
    pieces.append(prism(rounded_rectangle(36, 30, 8, 2), -18, 0))
    return solid, pieces


def _elbow() -> Built:
    """A 90-degree pipe elbow with a socket at each end, bore open, 70 mm long."""
    bend, steps = 26.0, 8
    outer, inner = _bend(bend, 13.5, 90, 24), _bend(bend, 10.0, 90, 24)
    sockets, bores = [], []
    for turn in (0, 1):
        socket = lathe([(0, -22), (17, -22), (18, -21), (18, -1), (15, 1), (0, 1)], 48)
        bore = lathe([(0, -24), (14, -24), (14, -6), (10, -6), (10, 1), (0, 1)], 48)
        sockets.append(_at_end(socket, bend, turn))
        bores.append(_at_end(bore, bend, turn))
    solid = union([outer, *sockets]) - union([inner, *bores])
    pieces = []
    for k in range(3):
        wedge = _bend(bend, 13.5, 30, 2, 12).rotate((0, 0, 30 * k))
        pieces.append(hull([wedge]))
    for turn in (0, 1):
        pieces += [_at_end(p, bend, turn) for p in ring_pieces(36, 28, -22, -6, steps)]
        pieces.append(_at_end(cylinderish([(18, -6), (18, 0)], 16), bend, turn))
    return solid, pieces


def _bend(radius: float, tube: float, degrees: float, steps: int, segments: int = 48) -> Solid:
    """A bent rod about z from the x axis on: a circle at `radius` turned by `degrees`."""
    import manifold3d

    circle = manifold3d.CrossSection.circle(tube, segments).translate((radius, 0))
    return circle.revolve(int(steps * 360 / degrees), degrees)


def _at_end(solid: Solid, bend: float, turn: int) -> Solid:
    """Move what is built about z, pipe upwards, to one end of the bend."""
    if turn == 0:  # the end on the x axis, where the pipe runs along y
        return solid.rotate((-90, 0, 0)).translate((bend, 0, 0))
    return solid.rotate((0, 90, 0)).translate((0, bend, 0))


_BUILDERS: dict[str, Callable[[], Built]] = {
    'nut': _nut,
    'stopper': _stopper,
    'cylinder': _cylinder,
    'bolt': _bolt,
    'cone': _cone,
    'connector': _connector,
    'five_pin': _five_pin,
    'obj_01': _obj_01,
    'obj_05': _obj_05,
    'obj_14': _obj_14,
    'elbow': _elbow,
}
PARTS = tuple(_BUILDERS)


@cache
def make_part(name: str) -> Part:
    """Build a part by its name; the same bytes every time.

    Raises:
        ValueError: an unknown name; the message lists the known ones.
    """
    if name not in _BUILDERS:
        raise ValueError(f'unknown part {name!r}; valid: {", ".join(PARTS)}')
    solid, pieces = _BUILDERS[name]()
    offset = -to_mesh(solid).center_mass * 1e3
    return Part(name, to_mesh(solid, offset), [to_mesh(piece, offset) for piece in pieces])
