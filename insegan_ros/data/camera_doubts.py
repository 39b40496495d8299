"""Whether the numbers of a camera can be those of one that took images of this size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from insegan_ros.types import Intrinsics

WIDEST_DEGREES = 85.0  # that a pinhole camera sees off its axis
LONGEST = 20.0  # focal length in widths of the image: a view of three degrees
UNEQUAL = 2.2  # between the focal lengths; binning of one direction makes 2
NOTHING = 1e-3  # numbers of a matrix up to it count as 0
SKEW_PX = 0.5  # that moves no pixel farther counts as none


def require_pinhole(name: str, matrix: Sequence[float]) -> None:
    """Raises: ValueError, where numbers, row by row, are no camera's matrix.

    A last number of 0 was not filled in, and is taken for 1.
    """
    if len(matrix) != 9:
        raise ValueError(f'{name} has {len(matrix)} numbers; 9 are expected, row by row')
    below = (matrix[3], matrix[6], matrix[7])
    if max(map(abs, below)) > NOTHING or (matrix[8] != 0 and abs(matrix[8] - 1) > NOTHING):
        listed = ', '.join(f'{value:g}' for value in matrix)
        raise ValueError(
            f'{name} is [{listed}]; fx, 0, cx, 0, fy, cy, 0, 0, 1 is expected. Are its columns '
            'stored as rows?'
        )


def doubts(camera: Intrinsics, *, skew: float = 0.0) -> list[str]:
    """What is odd about the camera of a whole image, in words.

    Args:
        skew: of its matrix, px; depth cameras have none, and it is not used.

    Raises:
        ValueError: no lens sees so far to the side.
    """
    sides = ((camera.width, camera.fx, camera.cx), (camera.height, camera.fy, camera.cy))
    widest = max(max(abs(c), abs(size - 1 - c)) / f for size, f, c in sides)
    if widest > np.tan(np.radians(WIDEST_DEGREES)):
        raise ValueError(
            f'focal lengths {camera.fx:g}, {camera.fy:g} and principal point {camera.cx:g}, '
            f'{camera.cy:g} in an image of {camera.width} x {camera.height} px: it would see '
            f'{np.degrees(np.arctan(widest)):.1f} degrees off its axis. Are they in pixels, and '
            'of images of this size?'
        )
    found = []
    if not (0 <= camera.cx < camera.width and 0 <= camera.cy < camera.height):
        found.append(
            f'the principal point {camera.cx:g}, {camera.cy:g} lies outside the image of '
            f'{camera.width} x {camera.height} px; is the camera_info of images of this size?'
        )
    narrow = max(camera.fx / camera.width, camera.fy / camera.height)
    if narrow > LONGEST or not 1 / UNEQUAL < camera.fx / camera.fy < UNEQUAL:
        found.append(
            f'focal lengths {camera.fx:g}, {camera.fy:g} px in an image of {camera.width} x '
            f'{camera.height} px are unusual; are they in pixels?'
        )
    if abs(skew) * camera.height / camera.fy > SKEW_PX:
        found.append(f'the skew of the camera matrix, {skew:g} px, is not used')
    return found
