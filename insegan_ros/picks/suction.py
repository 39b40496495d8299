"""Where a suction cup seals: closed, smooth surface of one part, and a free way to it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from insegan_ros.picks.discs import DiscFits, DiscFitter
from insegan_ros.picks.gripper import SuctionCup
from insegan_ros.picks.pick import Cues, NoPick, Pick, tool_pose
from insegan_ros.picks.scene import Scene
from insegan_ros.picks.sites import LIFT_OFF_M, CupSites

MIN_SEAL = 0.92  # of the lip's disc has to show the part; measured images have small holes
MAX_FOREIGN = 0.01  # of the disc may show something else
LIP_POINTS = 12  # around the lip, where the frame is asked what it shows
LIP_MARGIN_PX = 0.7  # beyond the lip: a mask's edge is as uncertain as that
WIDER = (1.25, 1.6, 2.0)  # cup radii beyond the lip that are tried for a larger flat place
STEADIER = (2.0, 3.0, 4.5)  # cup radii over which a normal is fitted where the surface allows it
SMOOTH_SIGMAS, SMOOTH_M = 1.2, 0.0002  # of a plane's residual: noise, and what is no plane
EDGE = np.ones((5, 5), np.uint8)  # px at a mask's rim that are mixed with what is behind
PLACES = 128  # of an instance that are fitted at most
CANDIDATES = 24  # of an instance whose way is checked, best ones first
AGREES_M, AGREES_SIGMAS = 0.002, 3.0  # the template's place and the measured one


Places = tuple[NDArray[np.integer], NDArray[np.integer]]  # rows and columns


@dataclass(frozen=True)
class _Places:
    """Where on one instance the lip seals, best place first."""

    points: NDArray[np.float64]  # (M, 3) camera frame
    normals: NDArray[np.float64]  # (M, 3) unit, towards the camera
    cues: NDArray[np.float64]  # (M, 5) seal, smooth, level, centred, room
    radii_m: NDArray[np.float64]  # (M,) of the flat place


def suction_pick(
    scene: Scene,
    k: int,
    window: tuple[slice, slice],
    *,
    cup: SuctionCup,
    sites: CupSites | None = None,
) -> Pick | NoPick:
    """The best place on instance `k` for a cup, or why there is none.

    Places are those of the posed template where there is one, and of the measured surface where
    there is none or none of the template's is free. Where there is a template, measured places
    count as not smooth: they miss edges that are finer than the camera's noise. The chance of
    success is left at 0: `planner` fills it in from the cues.
    """
    known = sites is not None and len(sites.points) > 0
    if known and sites is not None and scene.posed(k):
        places = _template_places(scene, k, sites, cup=cup)
        pick = _first_free(scene, k, places, cup=cup)
        if isinstance(pick, Pick):
            return pick
    measured = _sealing_places(scene, k, window, cup=cup)
    if isinstance(measured, NoPick):
        return measured
    pick = _first_free(scene, k, measured, cup=cup)
    if isinstance(pick, Pick) and known:
        return replace(pick, cues=replace(pick.cues, smooth=0.0))
    return pick


def _first_free(scene: Scene, k: int, places: _Places, *, cup: SuctionCup) -> Pick | NoPick:
    """The first place that nothing keeps the cup from; beside a blocked one all are blocked."""
    blocked, left = None, np.ones(len(places.points), bool)
    for _ in range(CANDIDATES):
        if not left.any():
            break
        m = int(np.argmax(left))
        blocked = _in_the_way(scene, k, places.points[m], normal=places.normals[m], cup=cup)
        if blocked is None:
            return _pick_at(scene, k, places, m=m)
        apart = np.linalg.norm(places.points - places.points[m], axis=1)
        left &= apart >= cup.cup_radius_m / 2
    return NoPick(label=k + 1, reason=f'the way to it is blocked by {blocked}')


def _pick_at(scene: Scene, k: int, places: _Places, *, m: int) -> Pick:
    seal, smooth, level, centred, room = places.cues[m].tolist()
    cues = Cues(
        seal=seal,
        smooth=smooth,
        level=level,
        centred=centred,
        room=room,
        visible=float(scene.found.visible_fraction[k]),
        score=float(scene.found.scores[k]),
    )
    return Pick(
        label=k + 1,
        kind='suction',
        pose=tool_pose(places.points[m], -places.normals[m], scene.floor_axes[0]),
        chance=0.0,
        cues=cues,
        width_m=float(places.radii_m[m]),
    )


def _template_places(scene: Scene, k: int, sites: CupSites, *, cup: SuctionCup) -> _Places:
    """The template's places that are seen, level enough, and where the frame agrees."""
    pose = scene.found.poses[k].astype(np.float64)
    points = sites.points @ pose[:3, :3].T + pose[:3, 3]
    normals = sites.normals @ pose[:3, :3].T
    level = normals @ scene.up
    kept = (level > np.cos(np.radians(cup.max_tilt_degrees))) & (
        np.einsum('ij,ij->i', normals, points) < 0
    )
    points, normals, level = points[kept], normals[kept], level[kept]
    seal = _seen_under_lip(scene, k, points, normals=normals, cup=cup)
    offset = points - pose[:3, 3]
    across = np.linalg.norm(offset - (offset @ scene.up)[:, None] * scene.up, axis=1)
    reach = float(np.linalg.norm(sites.points, axis=1).max(initial=1e-3))
    smooth = 1 - np.clip(sites.uneven_m[kept] / cup.lip_gap_m, 0, 1)
    cues = np.stack(
        [seal, smooth, level, np.clip(1 - across / reach, 0, 1), sites.room[kept]], axis=1
    )
    worth = cues @ np.array([2.0, 0.8, 1.0, 1.5, 0.6])  # the order of trying, not the chance
    order = np.argsort(-worth, kind='stable')
    order = order[seal[order] >= MIN_SEAL]
    radii = cup.cup_radius_m * (1 + sites.room[kept] * (WIDER[-1] - 1))
    return _Places(points[order], normals[order], cues[order], radii[order])


def _seen_under_lip(
    scene: Scene,
    k: int,
    points: NDArray[np.float64],
    *,
    normals: NDArray[np.float64],
    cup: SuctionCup,
) -> NDArray[np.float64]:
    """(M,) share of the lip's disc at which the frame shows the instance itself, as deep."""
    x = np.cross(normals, scene.floor_axes[1])
    x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9)
    y = np.cross(normals, x)
    angles = 2 * np.pi * np.arange(LIP_POINTS) / LIP_POINTS
    ring = np.cos(angles)[:, None, None] * x + np.sin(angles)[:, None, None] * y
    lip = np.concatenate([points[None], points + cup.cup_radius_m * ring])  # (L, M, 3)
    camera, labels = scene.frame.intrinsics, scene.found.labels
    z = np.maximum(lip[..., 2], 0.05)
    column = np.rint(lip[..., 0] / z * camera.fx + camera.cx).astype(int)
    row = np.rint(lip[..., 1] / z * camera.fy + camera.cy).astype(int)
    inside = (row >= 0) & (row < labels.shape[0]) & (column >= 0) & (column < labels.shape[1])
    row, column = np.where(inside, row, 0), np.where(inside, column, 0)
    measured = scene.frame.depth_m[row, column]
    allowed = AGREES_M + AGREES_SIGMAS * scene.noise_m(float(scene.found.poses[k, 2, 3]))
    with np.errstate(invalid='ignore'):
        as_deep = np.isnan(measured) | (np.abs(measured - z) < allowed)
    own = (labels[row, column] == k + 1) | ((labels[row, column] == 0) & np.isnan(measured))
    return np.asarray((inside & own & as_deep).mean(axis=0))


def _sealing_places(
    scene: Scene, k: int, window: tuple[slice, slice], *, cup: SuctionCup
) -> _Places | NoPick:
    rows, columns = window
    depth, own = scene.frame.depth_m[window], scene.found.labels[window] == k + 1
    seen = own & np.isfinite(depth)
    if seen.sum() < 9:
        return NoPick(label=k + 1, reason='fewer than nine of its pixels are measured')
    intrinsics = scene.frame.intrinsics.crop(
        columns.start, rows.start, columns.stop - columns.start, height=rows.stop - rows.start
    )
    middle = float(np.median(depth[seen]))
    radius_px = cup.cup_radius_m * intrinsics.fx / middle + LIP_MARGIN_PX
    fitter = DiscFitter(depth, own, intrinsics)
    v, u = np.nonzero(seen)
    at: Places = v, u
    at = _some(at, _sealed(*fitter.shares(*at, radius_px)))
    if not len(at[0]):
        return NoPick(
            label=k + 1,
            reason=f'nowhere is it closed over a disc of {1000 * cup.cup_radius_m:.1f} mm radius',
        )
    # the camera's own noise is no roughness of the part
    noise = scene.noise_m(middle)
    allowed = float(np.hypot(cup.lip_gap_m, noise))
    fits = fitter.fit(*at, radius_px)[0]
    smooth = fits.roughness_m < allowed
    if not smooth.any():
        return NoPick(
            label=k + 1,
            reason=f'its surface is rougher than {1000 * allowed:.1f} mm under the cup',
        )
    at, fits = (at[0][smooth], at[1][smooth]), fits[smooth]
    inner = cv2.erode(own.astype(np.uint8), EDGE, borderValue=0) > 0
    steady = DiscFitter(depth, inner, intrinsics)
    fits = _steadied(fits, steady, at, radius_px=radius_px, noise_m=noise)
    level = fits.normals @ scene.up > np.cos(np.radians(cup.max_tilt_degrees))
    if not level.any():
        return NoPick(
            label=k + 1, reason=f'its surface leans by more than {cup.max_tilt_degrees:g} degrees'
        )
    at, fits = (at[0][level], at[1][level]), fits[level]
    flat = _flat_radius(fitter, at, radius_px=radius_px, allowed=allowed)
    return _ordered(scene, k, window, at=at, fits=fits, flat=flat, allowed=allowed, cup=cup)


def _some(at: Places, chosen: NDArray[np.bool_]) -> Places:
    """The chosen places, or so many of them, evenly over the image, that time is bounded."""
    which = np.flatnonzero(chosen)
    if len(which) > PLACES:
        which = which[np.linspace(0, len(which) - 1, PLACES).astype(int)]
    return at[0][which], at[1][which]


def _flat_radius(
    fitter: DiscFitter, at: Places, *, radius_px: float, allowed: float
) -> NDArray[np.float64]:
    """(M,) how many cup radii the closed, smooth surface reaches around each place."""
    flat = np.ones(len(at[0]))
    still = np.ones(len(at[0]), bool)
    wider = fitter.fit(*at, *(factor * radius_px for factor in WIDER))
    good = _sealed(wider.own, wider.foreign) & (wider.roughness_m < allowed)
    for number, factor in enumerate(WIDER):
        still &= good[number]
        flat[still] = factor
    return flat


def _steadied(
    fits: DiscFits, fitter: DiscFitter, at: Places, *, radius_px: float, noise_m: float
) -> DiscFits:
    """The same fits with normals and places from wider discs, where a plane fits as well there.

    Under a small cup lie a few dozen pixels, whose noise tilts a plane by twenty degrees.
    """
    normals, plane = fits.normals.copy(), fits.depth_m.copy()
    still = np.ones(len(plane), bool)
    wider = fitter.fit(*at, *(factor * radius_px for factor in STEADIER))
    good = wider.roughness_m < SMOOTH_SIGMAS * noise_m + SMOOTH_M
    for number, factor in enumerate(STEADIER):
        # as many pixels as under the cup itself
        still &= good[number] & (wider.own[number] * factor**2 > 1)
        normals[still], plane[still] = wider.normals[number][still], wider.depth_m[number][still]
    return replace(fits, normals=normals, depth_m=plane)


def _sealed(own: NDArray[np.float64], foreign: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray((own >= MIN_SEAL) & (foreign <= MAX_FOREIGN))


def _ordered(
    scene: Scene,
    k: int,
    window: tuple[slice, slice],
    *,
    at: Places,
    fits: DiscFits,
    flat: NDArray[np.float64],
    allowed: float,
    cup: SuctionCup,
) -> _Places:
    points = scene.points[window]
    own = (scene.found.labels[window] == k + 1) & np.isfinite(points[..., 2])
    middle, reach = _middle(scene, k, points[own])
    places = points[at].astype(np.float64)
    # on the fitted plane, along the ray: one pixel's own noise does not count
    places *= (fits.depth_m / np.maximum(places[:, 2], 1e-6))[:, None]
    offset = places - middle
    across = np.linalg.norm(offset - (offset @ scene.up)[:, None] * scene.up, axis=1)
    cues = np.stack(
        [
            fits.own,
            1 - fits.roughness_m / allowed,
            fits.normals @ scene.up,
            np.clip(1 - across / reach, 0, 1),
            (flat - 1) / (WIDER[-1] - 1),
        ],
        axis=1,
    )
    worth = cues @ np.array([0.5, 0.3, 1.0, 1.5, 0.6])  # the order of trying, not the chance
    order = np.argsort(-worth, kind='stable')
    return _Places(places[order], fits.normals[order], cues[order], flat[order] * cup.cup_radius_m)


def _middle(scene: Scene, k: int, own: NDArray[np.floating]) -> tuple[NDArray[np.float64], float]:
    """Where a lifted part hangs straight, and how far it extends from there, in metres."""
    rendered = np.isfinite(scene.found.depths.crops[k][2])
    whole = rendered.sum() > 1.02 * len(own)
    middle = scene.found.poses[k, :3, 3] if whole else np.median(own, axis=0)
    across = own - middle
    across = across - (across @ scene.up)[:, None] * scene.up
    reach = float(np.percentile(np.linalg.norm(across, axis=1), 98))
    return np.asarray(middle, np.float64), max(reach, 1e-3)


def _in_the_way(
    scene: Scene,
    k: int,
    point: NDArray[np.float64],
    *,
    normal: NDArray[np.float64],
    cup: SuctionCup,
) -> str | None:
    """What stands inside the tube's cylinder above the lip, or None."""
    intrinsics = scene.frame.intrinsics
    top = point + normal * cup.tube_length_m
    ends = np.stack([point, top])
    pixels = ends[:, :2] / np.maximum(ends[:, 2:], 0.05) * [intrinsics.fx, intrinsics.fy]
    pixels += [intrinsics.cx, intrinsics.cy]
    reach = cup.tube_radius_m * intrinsics.fx / max(float(ends[:, 2].min()), 0.05) + 1
    low = np.floor(pixels.min(axis=0) - reach).astype(int)
    high = np.ceil(pixels.max(axis=0) + reach).astype(int) + 1
    height, width = scene.found.labels.shape
    rows = slice(max(low[1], 0), min(max(high[1], 0), height))
    columns = slice(max(low[0], 0), min(max(high[0], 0), width))
    offset = scene.points[rows, columns] - point
    along = offset @ normal
    across = np.sqrt(np.maximum(np.einsum('ijk,ijk->ij', offset, offset) - along**2, 0))
    with np.errstate(invalid='ignore'):
        inside = (across < cup.tube_radius_m) & (along < cup.tube_length_m)
        inside &= along > LIFT_OFF_M + 3 * scene.noise_m(float(point[2]))
    if inside.sum() > 3:  # single pixels are flying ones
        labels = scene.found.labels[rows, columns][inside]
        label = int(np.bincount(labels).argmax())
        if label == k + 1:
            return 'the part itself'
        return f'instance {label}' if label else 'the bin'
    lip = scene.wall_distance(point)
    return 'a wall' if lip < cup.tube_radius_m else None
