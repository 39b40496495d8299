"""Where on one instance the lip of a suction cup finds closed, smooth surface."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from insegan_ros.picks.discs import DiscFits, DiscFitter
from insegan_ros.picks.gripper import SuctionCup
from insegan_ros.picks.pick import NoPick
from insegan_ros.picks.scene import Scene

LIP_MARGIN_PX = 0.7  # beyond the lip: a mask's edge is as uncertain as that
WIDER = (1.25, 1.6, 2.0)  # cup radii beyond the lip that are tried for a larger flat place
STEADIER = (2.0, 3.0, 4.5)  # cup radii over which a normal is fitted where the surface allows it
SMOOTH_SIGMAS, SMOOTH_M = 1.2, 0.0002  # of a plane's residual: noise, and what is no plane
EDGE = np.ones((5, 5), np.uint8)  # px at a mask's rim that are mixed with what is behind
PLACES = 128  # of an instance that are fitted at most
# of the template's direction, the rest is of the measured one: the inverse squares of their
# errors, which in simulated bins of nine parts are 3.8 and 6.7 degrees (median)
TEMPLATE_SHARE = 0.75
AGREES_M, AGREES_SIGMAS = 0.002, 3.0  # the template's rendering and the measured depth

Pixels = tuple[NDArray[np.integer], NDArray[np.integer]]  # rows and columns in the window


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a place has to keep to be tried."""

    seal: float = 0.92  # of the lip's disc has to show the part; measured images have small holes
    foreign: float = 0.01  # of the disc may show something else
    rough: float = 1.0  # times what the lip takes up and the camera's noise
    more_tilt_degrees: float = 0.0  # beyond the cup's own limit

    def sealed(self, own: NDArray[np.floating], foreign: NDArray) -> NDArray[np.bool_]:
        """Whether the lip is closed where discs show so much of the part and of others."""
        return np.asarray((own >= self.seal) & (foreign <= self.foreign))


STRICT = Limits()
# where nothing else is left to try: worse places still hold at times, and a touch moves the part
LAST_RESORT = Limits(seal=0.85, foreign=0.05, rough=2.0, more_tilt_degrees=15.0)


@dataclass(frozen=True)
class Places:
    """Where on one instance the lip seals, best place first."""

    points: NDArray[np.float64]  # (M, 3) camera frame
    normals: NDArray[np.float64]  # (M, 3) unit, towards the camera
    cues: NDArray[np.float64]  # (M, 6) seal, smooth, level, centred, room, known
    radii_m: NDArray[np.float64]  # (M,) of the flat place


def sealing_places(
    scene: Scene, k: int, window: tuple[slice, slice], *, cup: SuctionCup, limits: Limits
) -> Places | NoPick:
    """The places on instance `k` where the cup's lip is closed, or why there are none."""
    surface = _Surface.of(scene, k, window, cup=cup)
    if surface is None:
        return NoPick(label=k + 1, reason='fewer than nine of its pixels are measured')
    at = surface.closed(limits)
    if not len(at[0]):
        closed = f'closed over a disc of {1000 * cup.cup_radius_m:.1f} mm radius'
        return NoPick(label=k + 1, reason=f'nowhere is it {closed}')
    # the camera's own noise is no roughness of the part
    rough = float(np.hypot(cup.lip_gap_m, surface.noise_m))
    allowed = limits.rough * rough
    fits = surface.fitter.fit(*at, surface.radius_px)[0]
    smooth = fits.roughness_m < allowed
    if not smooth.any():
        reason = f'its surface is rougher than {1000 * allowed:.1f} mm under the cup'
        return NoPick(label=k + 1, reason=reason)
    at, fits = _kept(at, smooth), fits[smooth]
    fits, known = surface.directed(at, fits, gap_m=limits.rough * cup.lip_gap_m)
    most_tilt = cup.max_tilt_degrees + limits.more_tilt_degrees
    level = fits.normals @ scene.up > np.cos(np.radians(most_tilt))
    if not level.any():
        return NoPick(label=k + 1, reason=f'its surface leans by more than {most_tilt:g} degrees')
    at, fits, known = _kept(at, level), fits[level], known[level]
    flat = surface.flat_radius(at, allowed, limits)
    points = scene.points[window][at].astype(np.float64)
    # on the fitted plane, along the ray: one pixel's own noise does not count
    points *= (fits.depth_m / np.maximum(points[:, 2], 1e-6))[:, None]
    cues = np.stack(
        [
            fits.own,
            1 - fits.roughness_m / rough,
            fits.normals @ scene.up,
            surface.centred(points),
            (flat - 1) / (WIDER[-1] - 1),
            known,
        ],
        axis=1,
    )
    order = np.argsort(-cup.chance.of_places(cues), kind='stable')
    radii = flat[order] * cup.cup_radius_m
    return Places(points[order], fits.normals[order], cues[order], radii)


def _kept(at: Pixels, which: NDArray) -> Pixels:
    return at[0][which], at[1][which]


@dataclass(frozen=True)
class _Surface:
    """One instance as the camera measured it, and as its template shows it."""

    scene: Scene
    k: int
    window: tuple[slice, slice]
    own: NDArray[np.bool_]  # (h, w) its pixels
    fitter: DiscFitter  # to what was measured
    radius_px: float  # of the lip
    noise_m: float  # standard deviation of the measured depth

    @staticmethod
    def of(
        scene: Scene, k: int, window: tuple[slice, slice], *, cup: SuctionCup
    ) -> _Surface | None:
        """None where too little of it is measured."""
        depth, own = scene.frame.depth_m[window], scene.found.labels[window] == k + 1
        seen = own & np.isfinite(depth)
        if seen.sum() < 9:
            return None
        middle = float(np.median(depth[seen]))
        radius_px = cup.cup_radius_m * scene.frame.intrinsics.fx / middle + LIP_MARGIN_PX
        fitter = DiscFitter(depth, own, scene.camera(window))
        return _Surface(scene, k, window, own, fitter, radius_px, scene.noise_m(middle))

    def closed(self, limits: Limits) -> Pixels:
        """Pixels around which the lip is closed, evenly so many that time is bounded."""
        v, u = np.nonzero(self.own & np.isfinite(self.scene.frame.depth_m[self.window]))
        which = np.flatnonzero(limits.sealed(*self.fitter.shares(v, u, self.radius_px)))
        if len(which) > PLACES:
            which = which[np.linspace(0, len(which) - 1, PLACES).astype(int)]
        return v[which], u[which]

    def directed(
        self, at: Pixels, fits: DiscFits, *, gap_m: float
    ) -> tuple[DiscFits, NDArray[np.float64]]:
        """The fits with better directions, and (M,) 1 where these are the posed template's.

        Under a small cup lie a few dozen pixels, whose noise tilts a plane by twenty degrees. The
        measured plane is therefore fitted over wider discs as long as a plane fits as well there.
        The template's rendering has no noise, but a template or its pose may be a little wrong:
        where it agrees with what was measured, the direction is the mean of both, weighted.
        """
        inner = cv2.erode(self.own.astype(np.uint8), EDGE, borderValue=0) > 0
        depth = self.scene.frame.depth_m[self.window]
        steady = DiscFitter(depth, inner, self.scene.camera(self.window))
        wider = steady.fit(*at, *(factor * self.radius_px for factor in STEADIER))
        normals, plane = fits.normals.copy(), fits.depth_m.copy()
        still = wider.roughness_m < SMOOTH_SIGMAS * self.noise_m + SMOOTH_M
        for number, factor in enumerate(STEADIER):
            # as many pixels as under the cup itself
            still[number] &= wider.own[number] * factor**2 > 1
            some = still[: number + 1].all(axis=0)
            normals[some], plane[some] = wider.normals[number][some], wider.depth_m[number][some]
        known: NDArray[np.bool_] = np.zeros(len(plane), bool)
        if self.scene.posed(self.k):
            posed = self._posed_fits(at)
            known = (posed.own >= STRICT.seal) & (posed.roughness_m < gap_m)
            mixed = TEMPLATE_SHARE * posed.normals + (1 - TEMPLATE_SHARE) * normals
            mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
            normals[known] = mixed[known]
        return replace(fits, normals=normals, depth_m=plane), known.astype(np.float64)

    def _posed_fits(self, at: Pixels) -> DiscFits:
        """Planes through the template's rendering, where it agrees with what was measured."""
        depth = self.scene.frame.depth_m[self.window]
        rendered = self.scene.rendered(self.k, self.window)
        with np.errstate(invalid='ignore'):
            agrees = np.abs(depth - rendered) < AGREES_M + AGREES_SIGMAS * self.noise_m
        known = np.where(agrees, rendered, np.float32(np.nan))
        fitter = DiscFitter(known, self.own, self.scene.camera(self.window))
        return fitter.fit(*at, self.radius_px)[0]

    def flat_radius(self, at: Pixels, allowed_m: float, limits: Limits) -> NDArray[np.float64]:
        """(M,) how many cup radii the closed, smooth surface reaches around each pixel."""
        wider = self.fitter.fit(*at, *(factor * self.radius_px for factor in WIDER))
        good = limits.sealed(wider.own, wider.foreign) & (wider.roughness_m < allowed_m)
        flat = np.ones(len(at[0]))
        for number, factor in enumerate(WIDER):
            flat[good[: number + 1].all(axis=0)] = factor
        return flat

    def centred(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(M,) 1 above where a lifted part hangs straight, 0 as far from there as it extends."""
        scene, k = self.scene, self.k
        own = scene.points[self.window][self.own]
        own = own[np.isfinite(own[:, 2])]
        whole = np.isfinite(scene.found.depths.crops[k][2]).sum() > 1.02 * len(own)
        middle = scene.found.poses[k, :3, 3] if whole else np.median(own, axis=0)

        def across(some: NDArray[np.floating]) -> NDArray[np.floating]:
            offset = some - middle
            level = offset - (offset @ scene.up)[:, None] * scene.up
            return np.asarray(np.linalg.norm(level, axis=1))

        reach = max(float(np.percentile(across(own), 98)), 1e-3)
        return np.asarray(np.clip(1 - across(points) / reach, 0, 1), np.float64)
