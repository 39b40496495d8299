"""Which part lies on which: a part that another one lies on has to wait."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from insegan_ros.picks.scene import Scene

STEP_SIGMAS = 4.0  # a step in depth of more than this many standard deviations is a real one
MIN_STEP_M = 0.004  # and of no less than this
MIN_SHARE = 0.08  # of a part's outline, or of its rendering, that the other one hides


def covered_by(scene: Scene) -> NDArray[np.float32]:
    """(N, N) row i, column j: how much of instance i instance j hides, 0 to 1.

    Where an instance has a rendering (a template's), it is the share of the rendering's pixels
    that show j in front of it. Where it has none, it is the share of the instance's outline along
    which j stands nearer to the camera by a real step. A taller part that only stands beside a
    lower one counts as lying on it then; the lower one has to wait, which costs nothing but order.
    """
    found = scene.found
    shares = np.zeros((found.count, found.count), np.float32)
    for k, window in enumerate(scene.windows(margin_px=3)):
        if window is None:
            continue
        rendered = _behind(scene, k)
        shares[k] = _outline_shares(scene, k, window) if rendered is None else rendered
        shares[k, k] = 0
    return np.where(shares >= MIN_SHARE, shares, 0).astype(np.float32)


def _behind(scene: Scene, k: int) -> NDArray[np.float64] | None:
    """(N,) share of instance k's rendering that others hide; None where nothing is rendered."""
    rows, columns, depth = scene.found.depths.crops[k]
    labels, measured = scene.found.labels[rows, columns], scene.frame.depth_m[rows, columns]
    whole = np.isfinite(depth)
    hidden = whole & (labels != k + 1)
    if not hidden.any():  # measured pixels alone, or a rendering that is wholly seen
        return None
    step = _step(scene, float(np.nanmedian(depth)))
    with np.errstate(invalid='ignore'):
        nearer = hidden & (labels > 0) & (measured < depth - step)
    count = np.bincount(labels[nearer], minlength=scene.found.count + 1)[1:]
    return np.asarray(count / whole.sum())


def _outline_shares(scene: Scene, k: int, window: tuple[slice, slice]) -> NDArray[np.float64]:
    """(N,) share of instance k's outline at which each other one stands nearer to the camera."""
    labels, depth = scene.found.labels[window], scene.frame.depth_m[window]
    own = labels == k + 1
    ring = np.ones((5, 5), np.uint8)
    outline = own & (cv2.erode(own.astype(np.uint8), ring[:3, :3], borderValue=0) == 0)
    seen = own & np.isfinite(depth)
    if not seen.any():
        return np.zeros(scene.found.count)
    far = np.float32(1e6)
    nearest_own = np.asarray(cv2.erode(np.where(seen, depth, far).astype(np.float32), ring))
    step = _step(scene, float(np.median(depth[seen])))
    with np.errstate(invalid='ignore'):
        beside = ~own & (labels > 0) & (nearest_own < far) & (depth < nearest_own - step)
    count = np.bincount(labels[beside], minlength=scene.found.count + 1)[1:]
    # the ring beside an outline is two pixels wide
    return np.asarray(np.minimum(count / max(2.0 * outline.sum(), 1.0), 1.0))


def _step(scene: Scene, depth_m: float) -> float:
    if not np.isfinite(depth_m):
        return MIN_STEP_M
    return max(MIN_STEP_M, STEP_SIGMAS * scene.noise_m(depth_m))
