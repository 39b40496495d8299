"""Masks as people draw them: small COCO and labelme files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from insegan_ros.data.annotations import read_annotations
from insegan_ros.data.store import DatasetInfo
from insegan_ros.data.writer import DatasetWriter
from insegan_ros.types import Intrinsics

HEIGHT, WIDTH = 12, 16
SQUARE = [2, 3, 6, 3, 6, 7, 2, 7]  # x from 2 to 6, y from 3 to 7: 4 x 4 pixels
STAR = [8.2, 1.1, 9.7, 4.9, 14.3, 5.2, 10.6, 7.4, 12.9, 11.3, 8.1, 8.6, 3.4, 11.2, 5.8, 7.1]


def square() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[3:7, 2:6] = True
    return mask


def coco_file(path: Path, *segmentations: object, name: str = '000002.png', **other) -> Path:
    image = {'id': 7, 'file_name': name, 'width': WIDTH, 'height': HEIGHT}
    annotations = [
        {'id': k, 'image_id': 7, 'category_id': 1, 'segmentation': s}
        for k, s in enumerate(segmentations, 1)
    ]
    content = {'images': [image], 'annotations': annotations, 'categories': [], **other}
    path.write_text(json.dumps(content))
    return path


def labelme_file(path: Path, *shapes: dict, image: str = '000002.png') -> Path:
    size = {'imageHeight': HEIGHT, 'imageWidth': WIDTH}
    shapes_ = [{'label': 'nut', 'shape_type': 'polygon', 'group_id': None} | s for s in shapes]
    content = {'version': '5.5.0', 'flags': {}, 'shapes': shapes_, 'imagePath': image, **size}
    path.write_text(json.dumps(content))
    return path


def pairs(flat: list) -> list:
    return np.reshape(flat, (-1, 2)).tolist()


def only(path: Path) -> np.ndarray:
    (image,) = read_annotations(path).values()
    assert image.name == '000002'
    return image.labels


def bare_dataset(folder: Path) -> Path:
    """Four frames without labels."""
    camera = Intrinsics(WIDTH, HEIGHT, 20.0, 20.0, 8.0, 6.0)
    path = folder / 'bin'
    with DatasetWriter(path, DatasetInfo('nut', camera, 'collector')) as writer:
        for _ in range(4):
            writer.append(np.full((HEIGHT, WIDTH), 500, np.uint16))
    return path
