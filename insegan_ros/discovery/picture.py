"""What a person looks at to judge a template: crops, and the template in their poses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from insegan_ros.discovery.crops import rasterise
from insegan_ros.discovery.pieces import Piece
from insegan_ros.discovery.reconstruct import Reconstruction
from insegan_ros.discovery.state import DiscoveryState
from insegan_ros.drawing import encode_png
from insegan_ros.files import write_atomically
from insegan_ros.model.template import render, resting_heights


def draw(file: Path, work: Reconstruction, state: DiscoveryState, *, columns: int = 12) -> None:
    """Rows in pairs: crops, from best to worst explained, and the template in their poses."""
    assert state.poses is not None
    crops = work.crops(state.logits.shape[0])
    order = torch.argsort(state.poses.residual)
    shown = order[torch.linspace(0, len(order) - 1, 3 * columns).long()]
    turns = state.poses.rotations[shown]
    with torch.no_grad():
        views = render(
            state.occupancy,
            state.voxel_m,
            turns,
            shifts=state.poses.shifts[shown],
            pixels=crops.mask.shape[1],
        )
        rest = resting_heights(state.occupancy, state.voxel_m, turns)
    seen = (views.silhouette > 0.5).cpu().numpy()
    heights = views.height / views.silhouette.clamp(min=1e-3) + rest[:, None, None]
    model = heights.cpu().numpy()
    rows = []
    for start in range(0, len(shown), columns):
        part = slice(start, start + columns)
        picked = shown[part].cpu().numpy()
        mask, height = crops.mask[picked] > 0, crops.height[picked]
        rows.append(np.hstack([_tile(h, m) for h, m in zip(height, mask, strict=True)]))
        rows.append(np.hstack([_tile(h, m) for h, m in zip(model[part], seen[part], strict=True)]))
    write_atomically(file, encode_png(np.vstack(rows)))


def draw_pieces(
    file: Path, rows: Sequence[Sequence[Piece]], length_m: float, *, columns: int = 12
) -> None:
    """Some pieces of each row, of a part that is about so long."""
    pictures = []
    for pieces in rows:
        picked = [pieces[k] for k in np.linspace(0, len(pieces) - 1, columns).astype(int)]
        crops = rasterise(picked, 1.6 * length_m, 48)
        tiles = [_tile(h, m > 0) for h, m in zip(crops.height, crops.mask, strict=True)]
        pictures.append(np.hstack(tiles))
    write_atomically(file, encode_png(np.vstack(pictures)))


def _tile(height: NDArray, mask: NDArray, side: int = 72) -> NDArray[np.uint8]:
    """Relief, brightest at the highest point."""
    top = float(height[mask].max()) if mask.any() else 0.0
    bright = np.where(mask, np.clip(255 - (top - height) * 6000, 40, 255), 0).astype(np.uint8)
    return cv2.resize(bright, (side, side), interpolation=cv2.INTER_NEAREST).astype(np.uint8)
