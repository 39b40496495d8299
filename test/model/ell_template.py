"""A chiral part without symmetry: a wrong rotation or a mirrored image shows."""

from __future__ import annotations

import numpy as np

from insegan_ros.model.template import Template

VOXEL_M = 0.003


def ell() -> Template:
    """An L of 48 x 36 x 15 mm with a peg on one arm, centred in the grid."""
    logits = np.full((18, 18, 18), -8, np.float32)
    logits[1:17, 3:8, 5:10] = 8
    logits[1:6, 3:15, 5:10] = 8
    logits[12:16, 4:8, 10:14] = 8
    return Template(logits, VOXEL_M)
