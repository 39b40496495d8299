"""GrabCut (Rother et al. 2004) around each cluster of K-means."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from insegan_ros.baselines.kmeans import kmeans
from insegan_ros.baselines.pixels import PartPixels
from insegan_ros.deadline import check_time

ITERATIONS = 2
SURE = np.ones((5, 5), np.uint8)  # a cluster shrunk by this is certainly its part


def grabcut_kmeans(pixels: PartPixels, count: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """(h, w) labels: K-means', each cluster then cut anew out of the height image.

    What no cut claims keeps its cluster; what several claim goes to the first that did.
    """
    clusters = kmeans(pixels, count, rng)
    image = _as_colours(pixels)
    labels = np.zeros_like(clusters)
    for k in range(1, clusters.max() + 1):
        check_time()
        own = (clusters == k).astype(np.uint8)
        mask = np.where(own > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
        mask[cv2.erode(own, SURE) > 0] = cv2.GC_FGD
        mask[~pixels.mask] = cv2.GC_BGD
        mask[(clusters > 0) & (cv2.dilate(own, SURE, iterations=4) == 0)] = cv2.GC_BGD
        if (mask == cv2.GC_FGD).any() and (mask == cv2.GC_BGD).any():
            models = np.zeros((1, 65)), np.zeros((1, 65))
            cv2.grabCut(image, mask, (0, 0, 0, 0), *models, ITERATIONS, cv2.GC_INIT_WITH_MASK)
        cut = (mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)
        labels[cut & (labels == 0)] = k
    return np.where(labels > 0, labels, clusters)


def _as_colours(pixels: PartPixels) -> NDArray[np.uint8]:
    """(h, w, 3): height and its slopes, since GrabCut wants three channels."""
    heights = pixels.heights / max(float(pixels.heights.max()), 1e-6)
    slopes = [np.abs(cv2.Sobel(heights, cv2.CV_32F, *d)) for d in ((1, 0), (0, 1))]
    channels = [heights, *(np.clip(slope, 0, 1) for slope in slopes)]
    return np.ascontiguousarray(np.stack(channels, axis=-1) * 255).astype(np.uint8)
