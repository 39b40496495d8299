"""Masks as annotation tools store them: polygons, and COCO's run lengths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insegan_ros.data.rvl import MAX_PIXELS
from insegan_ros.optional import needed_for

BoolImage = NDArray[np.bool_]
Size = tuple[int, int]  # height, width

MAX_OUTLINE_PX = 1_000_000  # the rasteriser's memory grows with the outline's length
MAX_SHIFT = 40  # bits of a run length


class MaskError(ValueError):
    """What was drawn is no mask; the message says why."""


def checked_size(height: Any, width: Any) -> Size:
    """Raises: MaskError for an image that cannot be."""
    size = (int(height), int(width))
    if min(size) < 1 or size[0] * size[1] > MAX_PIXELS:
        raise MaskError(f'an image of {size[1]} x {size[0]} px')
    return size


def fill(rings: Sequence[Any], size: Size) -> BoolImage:
    """Rings [x, y, x, y, ...] of one part -> (H, W), by COCO's own rasteriser.

    Rings that enclose nothing are stray clicks and do not count.

    Raises:
        MaskError: no ring is left, or one reaches far out of the image.
    """
    try:
        outlines = [np.asarray(ring, np.float64).reshape(-1) for ring in rings]
    except (ValueError, TypeError):
        raise MaskError('a polygon is a list of numbers, x and y of each point') from None
    whole = [r for r in outlines if len(r) >= 6 and len(r) % 2 == 0 and np.isfinite(r).all()]
    if not whole:
        raise MaskError('a polygon has three points or more, x and y of each')
    limit = np.array([size[1], size[0]])
    length = 0.0
    for ring in whole:
        points = ring.reshape(-1, 2)
        if (points < -limit).any() or (points > 2 * limit).any():
            worst = float(ring[np.abs(ring).argmax()])
            raise MaskError(
                f'its polygon reaches to {worst:g} px, far out of the image of {_said(size)} px'
            )
        length += float(np.abs(np.diff(points, axis=0)).sum())
    if length > MAX_OUTLINE_PX:
        raise MaskError(f'its outline is {length:.0f} px long: is it one part?')
    with needed_for('polygons drawn by hand'):
        from pycocotools import mask as coco
    rings = coco.frPyObjects([ring.tolist() for ring in whole], *size)
    return np.asarray(coco.decode(coco.merge(rings))).astype(bool)


def unroll(segmentation: dict[str, Any], size: Size) -> BoolImage:
    """Lengths of runs of 0, 1, 0, ... down the columns, one after another -> (H, W).

    Raises:
        MaskError: they are of an image of another size, or do not cover it.
    """
    theirs = segmentation.get('size') or size
    if [int(side) for side in theirs] != list(size):
        raise MaskError(f'its mask is {_said(tuple(theirs))} px, the image {_said(size)}')
    counts = segmentation['counts']
    lengths = _lengths(counts) if isinstance(counts, str) else [int(count) for count in counts]
    if sum(lengths) != size[0] * size[1] or min(lengths) < 0:
        raise MaskError(f'its run lengths cover {sum(lengths)} pixels, the image is {_said(size)}')
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(size[::-1]).T


def _lengths(text: str) -> list[int]:
    """Decode COCO's text of run lengths.

    A character holds 5 bits of a number, counted from '0', the low ones first; its bit 5 says that
    more follow. From the fourth number on, each is the difference to the last but one.
    """
    lengths: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > MAX_SHIFT:
            raise MaskError('its run lengths are damaged')
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            if bits & 0x10:  # negative
                value -= 1 << shift
            lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
            value = shift = 0
    return lengths


def _said(size: tuple[int, ...]) -> str:
    return f'{size[1]} x {size[0]}'
