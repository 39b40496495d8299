"""Instance masks drawn by hand with common tools: COCO JSON and labelme JSON.

Every annotation is one part's visible surface, whatever its category; of two that overlap the
later one is on top. They belong to the frame whose name theirs is: `000012.jpg` to frame 12.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from insegan_ros.data.store import Dataset
from insegan_ros.optional import needed_for

BoolImage = NDArray[np.bool_]


class AnnotationError(ValueError):
    """An annotation file that cannot be used; the message says which entry, and why."""


@dataclass(frozen=True)
class AnnotatedImage:
    """The masks of one image, as one file says."""

    name: str  # the image's file name without folder and ending
    labels: NDArray[np.uint16]  # (H, W), 0 background, 1 .. n in the order of the file
    file: Path


def read_annotations(path: Path) -> dict[str, AnnotatedImage]:
    """All images with masks, by name, in a JSON file or in all those of a folder.

    Raises:
        AnnotationError: no such file, neither COCO nor labelme, a mask that is none, or an image
            that two files annotate.
    """
    files = sorted(path.glob('*.json')) if path.is_dir() else [path]
    if not files:
        raise AnnotationError(f'{path} holds no .json; COCO or labelme files are expected')
    found: dict[str, AnnotatedImage] = {}
    for file in files:
        for image in _read_file(file):
            if image.name in found:
                other = found[image.name].file
                raise AnnotationError(f'image {image.name!r} is annotated twice: {other}, {file}')
            found[image.name] = image
    if not found:
        raise AnnotationError(f'{path} annotates no image')
    return found


def labels_of_frames(
    annotated: Mapping[str, AnnotatedImage], dataset: Dataset
) -> dict[int, NDArray[np.uint16]]:
    """Each image's labels by the index of the dataset's frame of that name.

    Raises:
        AnnotationError: an image that is no frame of the dataset, or of another size.
    """
    by_name = {f'{index:06d}': index for index in dataset.indices}
    strangers = [name for name in annotated if name not in by_name]
    if strangers:
        file = annotated[strangers[0]].file
        raise AnnotationError(
            f'{file}: {len(strangers)} of {len(annotated)} annotated images are no frames of '
            f'{dataset.path}: {", ".join(strangers[:3])}; frames are named like their depth '
            f'images, {", ".join(list(by_name)[:2])}'
        )
    size = (dataset.info.intrinsics.height, dataset.info.intrinsics.width)
    for image in annotated.values():
        if image.labels.shape != size:
            raise AnnotationError(
                f'{image.file}: {image.name} is {_size(image.labels.shape)} px, the frames of '
                f'{dataset.path} are {_size(size)}; annotate pictures of the frames as they are'
            )
    return {by_name[name]: image.labels for name, image in annotated.items()}


def _size(shape: tuple[int, ...]) -> str:
    return f'{shape[1]} x {shape[0]}'


def _read_file(file: Path) -> Iterator[AnnotatedImage]:
    try:
        content = json.loads(file.read_text())
    except FileNotFoundError:
        raise AnnotationError(f'there is no {file}') from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise AnnotationError(f'{file} is no JSON: {error}') from None
    keys = set(content) if isinstance(content, dict) else set()
    try:
        if {'images', 'annotations'} <= keys:
            yield from _read_coco(content, file)
        elif {'shapes', 'imagePath'} <= keys:
            yield from _read_labelme(content, file)
        else:
            raise AnnotationError(
                f'{file} is neither COCO (with images and annotations) nor labelme (with shapes '
                f'and imagePath); its keys: {", ".join(sorted(map(str, keys))[:8]) or "none"}'
            )
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise AnnotationError(f'{file} is damaged: {error!r}') from None


def _read_coco(content: dict[str, Any], file: Path) -> Iterator[AnnotatedImage]:
    """Images without annotations are left out: nobody knows whether they are empty or not done."""
    images = {image['id']: image for image in content['images']}
    masks: dict[Any, list[BoolImage]] = {}
    for annotation in content['annotations']:
        where = f'{file}, annotation {annotation.get("id")}'
        image = images.get(annotation['image_id'])
        if image is None:
            raise AnnotationError(f'{where} is of image {annotation["image_id"]}, which is absent')
        size = (int(image['height']), int(image['width']))
        masks.setdefault(image['id'], []).append(
            _coco_mask(annotation.get('segmentation'), size, where)
        )
    for key, drawn in masks.items():
        yield _combine(images[key]['file_name'], drawn, file)


def _coco_mask(segmentation: Any, size: tuple[int, int], where: str) -> BoolImage:
    """Polygons [[x, y, x, y, ...], ...], or run lengths {size, counts}."""
    if not segmentation:
        raise AnnotationError(f'{where} has no segmentation; a box or a point is no mask')
    if isinstance(segmentation, dict):
        if list(segmentation['size']) != list(size):
            raise AnnotationError(
                f'{where}: its mask is {_size(tuple(segmentation["size"]))} px, the image '
                f'{_size(size)}'
            )
        return _unroll(segmentation['counts'], size, where)
    return _fill([list(map(float, ring)) for ring in segmentation], size, where)


def _fill(rings: list[list[float]], size: tuple[int, int], where: str) -> BoolImage:
    """Polygons -> (H, W), all of one part, by COCO's own rasteriser."""
    with needed_for('polygons drawn by hand'):
        from pycocotools import mask as coco

    if any(len(ring) < 6 or len(ring) % 2 or not np.isfinite(ring).all() for ring in rings):
        raise AnnotationError(f'{where}: a polygon has three points or more, x and y of each')
    return coco.decode(coco.merge(coco.frPyObjects(rings, *size))).astype(bool)


def _unroll(counts: str | list[int], size: tuple[int, int], where: str) -> BoolImage:
    """Lengths of runs of 0, 1, 0, ... down the columns, one after another -> (H, W)."""
    lengths = _lengths(counts) if isinstance(counts, str) else list(map(int, counts))
    if sum(lengths) != size[0] * size[1] or min(lengths) < 0:
        raise AnnotationError(
            f'{where}: its run lengths cover {sum(lengths)} pixels, the image is {_size(size)}'
        )
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(size[::-1]).T


def _lengths(text: str) -> list[int]:
    """COCO's text: numbers of 5 bits a character from '0' on, low ones first, bit 5: more follow;
    from the fourth on, each is the difference to the last but one."""
    lengths: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            if bits & 0x10:  # negative
                value -= 1 << shift
            lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
            value = shift = 0
    return lengths


def _read_labelme(content: dict[str, Any], file: Path) -> Iterator[AnnotatedImage]:
    """Shapes with the same group_id are pieces of one part, which another part divides."""
    size = (int(content['imageHeight']), int(content['imageWidth']))
    masks: dict[Any, BoolImage] = {}
    for number, shape in enumerate(content['shapes'], 1):
        where = f'{file}, shape {number} ({shape.get("label")})'
        group = shape.get('group_id')
        key = ('alone', number) if group is None else ('group', group)
        mask = _labelme_mask(shape, size, where)
        masks[key] = mask | masks[key] if key in masks else mask
    if masks:
        yield _combine(content['imagePath'], list(masks.values()), file)


def _labelme_mask(shape: dict[str, Any], size: tuple[int, int], where: str) -> BoolImage:
    kind = shape.get('shape_type', 'polygon')
    points = np.asarray(shape['points'], float)
    if kind == 'polygon':
        return _fill([points.reshape(-1).tolist()], size, where)
    if kind != 'mask':
        raise AnnotationError(f'{where} is a {kind}; draw parts as polygons or masks')
    try:
        raw = np.frombuffer(base64.b64decode(shape['mask']), np.uint8)
        drawn: Any = cv2.imdecode(raw, cv2.IMREAD_GRAYSCALE)
        x, y = points.min(axis=0).round().astype(int)
        mask = np.zeros(size, bool)
        mask[y : y + drawn.shape[0], x : x + drawn.shape[1]] = drawn > 0
    except (ValueError, AttributeError, cv2.error, binascii.Error) as error:
        raise AnnotationError(f'{where}: its mask cannot be read: {error}') from None
    return mask


def _combine(image: str, masks: list[BoolImage], file: Path) -> AnnotatedImage:
    labels = np.zeros(masks[0].shape, np.uint16)
    for k, mask in enumerate(masks, 1):
        labels[mask] = k
    for k in range(1, len(masks) + 1):
        if not (labels == k).any():
            raise AnnotationError(
                f'{file}: mask {k} of {image} has no pixel: it is empty, or later ones hide it'
            )
    return AnnotatedImage(PureWindowsPath(image).stem, labels, file)
