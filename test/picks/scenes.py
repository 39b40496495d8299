"""Small exact scenes: boxes on a floor under a camera that looks straight down."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from insegan_ros.camera import Plane, segmentation_from_labels
from insegan_ros.parts_bin import Bin
from insegan_ros.types import DepthFrame, InstanceImages, Intrinsics

CAMERA = Intrinsics(240, 180, 300.0, 300.0, 119.5, 89.5)
HEIGHT = 0.5  # m, of the camera above the floor
FLOOR = Plane((0.0, 0.0, -1.0), HEIGHT)


def boxes(*given, rng=None, corners=None):
    """Boxes (x, y, width, depth, top) in metres on the floor -> frame, segmentation, bin.

    Instance k is the k-th box; x, y are of its middle, in the camera's frame.
    """
    v, u = np.mgrid[: CAMERA.height, : CAMERA.width]
    depth = np.full((CAMERA.height, CAMERA.width), HEIGHT, np.float32)
    labels = np.zeros(depth.shape, np.int32)
    for k, (x, y, width, length, top) in enumerate(given, 1):
        z = HEIGHT - top
        at_x, at_y = (u - CAMERA.cx) / CAMERA.fx * z, (v - CAMERA.cy) / CAMERA.fy * z
        inside = (np.abs(at_x - x) < width / 2) & (np.abs(at_y - y) < length / 2)
        seen = inside & (z < depth)
        depth[seen], labels[seen] = z, k
    if rng is not None:
        depth += rng.normal(0, 0.0003, depth.shape).astype(np.float32)
    frame = DepthFrame(depth, CAMERA)
    scores = np.linspace(0.9, 0.5, len(np.unique(labels)) - 1)
    return frame, segmentation_from_labels(frame, labels, scores), Bin(FLOOR, None, corners)


def as_posed(found, lean=0.0):
    """The segmentation with its first instance rendered by a template, not as it was measured.

    `lean`: tangent of the angle by which the rendering is turned about the y axis.
    """
    rows, columns, depth = found.depths.crops[0]
    across = (np.arange(depth.shape[1]) - depth.shape[1] / 2) * depth / CAMERA.fx
    leaning = (depth + 1e-4 + lean * across).astype(np.float32)
    crops = ((rows, columns, leaning), *found.depths.crops[1:])
    return replace(found, depths=InstanceImages(found.depths.size, crops, np.float32('nan')))
