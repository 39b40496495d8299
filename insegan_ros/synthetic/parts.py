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
    bent_rod,
    box,
    cylinder,
    hull,
    lathe,
    prism,
    regular_polygon,
    ring_pieces,
    rounded_rectangle,
    to_mesh,
    turned,
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
    """A bottle stopper: a tapered plug with two sealing ribs, a cap and a grip."""
    plug = [(0.0, 0.0), (9.5, 0.0), (10.5, 1.0), (11.3, 9.0), (12.3, 10.0), (11.6, 11.0)]
    plug += [(12.3, 20.0), (13.3, 21.0), (12.6, 22.0), (13.2, 32.0)]
    cap = [(17.0, 32.0), (17.8, 33.0), (17.8, 37.0), (17.0, 38.0), (7.0, 38.0)]
    grip = [(6.0, 41.0), (6.0, 46.0), (8.0, 51.0), (7.0, 54.0), (0.0, 54.0)]
    return lathe(plug + cap + grip), [
        turned([(9.5, 0), (12.3, 10), (13.3, 21), (13.3, 32)]),
        turned([(17.8, 32), (17.8, 37), (17, 38)]),
        turned([(6.6, 38), (8, 51), (7, 54)], 12),
    ]


def _cylinder() -> Built:
    """A turned cylinder 56 x 24 mm with chamfered edges and a groove around its middle."""
    solid = lathe(
        [(0, 0), (11, 0), (12, 1), (12, 26), (11, 27), (11, 29), (12, 30), (12, 55), (11, 56)]
        + [(0, 56)]
    )
    return solid, [turned([(11, 0), (12, 1), (12, 55), (11, 56)], 24)]


def _bolt() -> Built:
    """A hexagon head bolt, 28 mm across corners, M14-like shank with a thread."""
    head = prism(regular_polygon(6, 32.0), 0, 11)
    head = head ^ lathe([(0, 0), (14, 0), (16.2, 1.6), (16.2, 11), (0, 11)], 96)
    profile: list[tuple[float, float]] = [(0, 11), (7.5, 11), (7.5, 22)]
    for k in range(9):
        profile += [(7.6, 22 + 3.6 * k), (6.4, 23.8 + 3.6 * k)]
    profile += [(7.6, 54.5), (6.2, 56), (0, 56)]
    return union([head, lathe(profile, 32)]), [
        prism(regular_polygon(6, 32.0), 0, 11),
        turned([(7.5, 11), (7.5, 55), (6.2, 56)]),
    ]


def _cone() -> Built:
    """A slender cone with a blunt tip on a short foot, 32 mm wide and 58 mm high."""
    solid = lathe([(0, 0), (15, 0), (16, 1), (16, 4), (3.6, 57), (2.4, 58), (0, 58)])
    return solid, [turned([(15, 0), (16, 1), (16, 4), (3.6, 57), (2.4, 58)], 20)]


def _connector() -> Built:
    """A cable connector: a housing open in front around a tongue, a latch, a ribbed tail."""
    housing = prism(rounded_rectangle(32, 18, 3), 0, 30)
    cavity = prism(rounded_rectangle(27, 13, 2), 14, 31)
    tongue = box((21, 4, 14), (0, 0, 20))
    tail = hull([prism(rounded_rectangle(22, 13, 4), -4, 0), cylinder(11, -26, -22, segments=32)])
    grooves = [box((40, 40, 1.4), (0, 0, z)) for z in (-6, -10, -14, -18)]
    core = hull([prism(rounded_rectangle(18, 9, 3), -4, 0), cylinder(8, -26, -22, segments=32)])
    latch = [box((9, 3.5, 20), (0, 10.5, 14)), box((9, 3, 4), (0, 13.5, 22))]
    shell = union([housing - cavity, tongue, tail - union(grooves), core, *latch])
    pieces = [
        prism(rounded_rectangle(32, 18, 3, steps=2), 0, 13),
        box((32, 2.5, 17), (0, 7.75, 21.5)),
        box((32, 2.5, 17), (0, -7.75, 21.5)),
        box((2.5, 18, 17), (14.75, 0, 21.5)),
        box((2.5, 18, 17), (-14.75, 0, 21.5)),
        tongue,
        hull(
            [
                prism(rounded_rectangle(22, 13, 4, steps=1), -4, 0),
                cylinder(11, -26, -22, segments=8),
            ]
        ),
        hull(latch),
    ]
    return shell, pieces


def _five_pin() -> Built:
    """A power header: a bevelled block and five round pins in a row."""
    base = hull([box((50, 14, 12), (0, 0, 6)), box((48, 12, 15), (0, 0, 7.5))])
    groove = box((52, 3, 2), (0, 0, 0.5))
    places = [-20, -10, 0, 10, 20]
    pin = lathe([(0, 15), (2.2, 15), (2.2, 37), (1.2, 39), (0, 39)], 24)
    solid = union([base - groove, *[pin.translate((x, 0, 0)) for x in places]])
    piece = turned([(2.2, 15), (2.2, 37), (1.2, 39)], 8)
    return solid, [base, *[piece.translate((x, 0, 0)) for x in places]]


def _obj_01() -> Built:
    """Like a lamp socket: a slotted foot, a ribbed neck, a round hole down from its top."""
    profile: list[tuple[float, float]] = [(0, 0), (16, 0), (17, 1), (17, 14), (15, 16), (12, 16)]
    for k in range(7):
        profile += [(12.5, 19 + 4 * k), (11.3, 21 + 4 * k)]
    profile += [(12, 50), (11.5, 52), (8.5, 52), (8.5, 24), (0, 24)]
    slots = [box((6, 4, 9), (x, 0, 7)) for x in (17, -17)]
    return lathe(profile, 48) - union(slots), [
        turned([(16, 0), (17, 1), (17, 14), (15, 16)], 20),
        turned([(12.3, 16), (12.3, 24)], 16),
        *ring_pieces(24.4, 17, 24, top=52, count=8),
    ]


def _obj_05() -> Built:
    """Like a junction box: an open tray with a rim, screw posts and two conduit collars."""
    tray = prism(rounded_rectangle(38, 30, 4), 0, 20) - prism(rounded_rectangle(33, 25, 3), 3, 21)
    collars = cylinder(16, 18, 26, segments=40).rotate((0, 90, 0)).translate((0, 0, 10))
    collars += cylinder(16, 18, 26, segments=40).rotate((0, -90, 0)).translate((0, 0, 10))
    bores = cylinder(11, -30, 30, segments=40).rotate((0, 90, 0)).translate((0, 0, 10))
    posts = [cylinder(6, 0, 17, segments=24).translate((x, y, 0)) for x, y in ((12, 8), (-12, -8))]
    solid = union([union([tray, collars]) - bores, *posts])
    pieces = [
        box((38, 30, 3), (0, 0, 1.5)),
        box((38, 2.5, 17), (0, 13.75, 11.5)),
        box((38, 2.5, 17), (0, -13.75, 11.5)),
        box((2.5, 30, 17), (17.75, 0, 11.5)),
        box((2.5, 30, 17), (-17.75, 0, 11.5)),
    ]
    for side in (90, -90):
        tube = turned([(8, 19), (8, 26)], 12).rotate((0, side, 0))
        pieces.append(tube.translate((0, 0, 10)))
    pieces += [box((5, 5, 17), (x, y, 8.5)) for x, y in ((12, 8), (-12, -8))]
    return solid, pieces


def _obj_14() -> Built:
    """Like a flush wall socket: a square plate, a round recess with two holes, a body behind."""
    plate = prism(rounded_rectangle(48, 48, 5), 0, 8)
    body = prism(rounded_rectangle(24, 24, 7), -20, 0)
    rim = cylinder(36, 8, 9) - cylinder(32, 7, 11)
    recess = cylinder(32, 2, 11)
    holes = [cylinder(5, -6, 3, segments=24).translate((x, 0, 0)) for x in (9.5, -9.5)]
    earth = [box((3, 6, 7), (0, y, 5)) for y in (14.5, -14.5)]
    clips = [box((5, 8, 16), (x, 0, -8)) for x in (13, -13)]
    solid = union([plate, rim, body, *clips]) - union([recess, *holes])
    solid = union([solid, *earth])
    pieces = [prism(rounded_rectangle(48, 48, 5, steps=2), 0, 2.5)]
    pieces += ring_pieces(48, 32, 2.5, top=9, count=8)
    for x, y in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        corner = box((9, 9, 5.5), (19 * x, 19 * y, 5.25))
        pieces.append(corner)
    pieces.append(hull([prism(rounded_rectangle(24, 24, 7, steps=2), -20, 0), *clips]))
    return solid, pieces


def _block() -> Built:
    """A wooden toy block 56 x 28 x 20 mm, its edges broken by a millimetre."""
    solid = hull(
        [prism(rounded_rectangle(56, 28, 1, steps=2), -9, 9), box((54, 26, 20), (0, 0, 0))]
    )
    return solid, [solid]


def _elbow() -> Built:
    """A 90-degree pipe elbow with a socket at each end, bore open, 70 mm long."""
    bend, steps = 26.0, 8
    outer, inner = (
        bent_rod(bend, 13.5, 90, steps=12, segments=32),
        bent_rod(bend, 10.0, 90, steps=12, segments=32),
    )
    sockets, bores = [], []
    for turn in (0, 1):
        socket = lathe([(0, -22), (17, -22), (18, -21), (18, -1), (15, 1), (0, 1)], 40)
        bore = lathe([(0, -24), (14, -24), (14, -6), (10, -6), (10, 1), (0, 1)], 40)
        sockets.append(_at_end(socket, bend, turn))
        bores.append(_at_end(bore, bend, turn))
    solid = union([outer, *sockets]) - union([inner, *bores])
    pieces = []
    for k in range(3):
        wedge = bent_rod(bend, 13.5, 30, steps=2, segments=12).rotate((0, 0, 30 * k))
        pieces.append(hull([wedge]))
    for turn in (0, 1):
        pieces += [_at_end(p, bend, turn) for p in ring_pieces(36, 28, -22, top=-6, count=steps)]
        pieces.append(_at_end(turned([(18, -6), (18, 0)], 16), bend, turn))
    return solid, pieces


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
    'block': _block,
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
