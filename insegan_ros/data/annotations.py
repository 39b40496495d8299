"""Instance masks drawn by hand with common tools: COCO JSON and labelme JSON.

Every annotation is one part's visible surface, whatever its category; of two that overlap the
later one is on top. A crowd of COCO (iscrowd) is a region that is not judged. They belong to the
frame whose name theirs is: `000012.jpg` to frame 12.
An annotation that is no mask, an image that is no frame, a file that is damaged: each is named
and left out, and the rest counts.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from insegan_ros.data.depth_messages import decode_picture
from insegan_ros.data.drawn_masks import BoolImage, MaskError, Size, checked_size, fill, unroll
from insegan_ros.data.left_out import LeftOut
from insegan_ros.data.store import Dataset
from insegan_ros.files import read_text
from insegan_ros.optional import MissingLibraryError

MAX_FILE_BYTES = 1 << 30
# what tools add to an image's name: Label Studio before it, Roboflow behind it
PREFIX = re.compile(r'[0-9a-f]{8}-(?=.)')
SUFFIX = re.compile(r'_(png|jpe?g|tiff?|bmp)\.rf\.[0-9A-Za-z]+$')
BROKEN = (KeyError, TypeError, IndexError, AttributeError, ValueError, OverflowError)


class AnnotationError(ValueError):
    """Annotations of which nothing can be used; the message says why."""


@dataclass(frozen=True)
class AnnotatedImage:
    """The masks of one image, as one file says."""

    name: str  # the image's file name without folder and ending
    labels: NDArray[np.int32]  # (H, W), 0 background, 1 .. n in the file's order, -1 not judged
    file: Path


@dataclass(frozen=True)
class Unusable:
    """What was left out on the way from files to labels."""

    annotations: LeftOut = field(default_factory=lambda: LeftOut('annotations'))
    images: LeftOut = field(default_factory=lambda: LeftOut('images'))

    def reasons(self) -> str:
        """Why images or annotations cannot be used, in one line."""
        return '; '.join([*self.images.reasons, *self.annotations.reasons])


def read_annotations(path: Path, unusable: Unusable | None = None) -> dict[str, AnnotatedImage]:
    """All images with masks, by name, in a JSON file or in all those of a folder.

    Raises:
        AnnotationError: there is no such file, or nothing in it can be used.
    """
    unusable = unusable or Unusable()
    files = _files(path)
    found: dict[str, AnnotatedImage] = {}
    for file in files:
        try:
            for image in _read_file(file, unusable):
                if image.name in found:
                    other = found[image.name].file
                    reason = f'{image.name} is annotated twice: {other}, {file}'
                    unusable.images.add(f'{image.name} of {file}', reason)
                else:
                    found[image.name] = image
        except AnnotationError as error:
            if len(files) == 1:
                raise
            unusable.images.add(str(file), error)
    if not found:
        reasons = unusable.reasons()
        raise AnnotationError(f'{path} annotates no image' + (f': {reasons}' if reasons else ''))
    return found


def _files(path: Path) -> list[Path]:
    """Not the companions of a Mac, which begin with a dot."""
    if not path.exists():
        raise AnnotationError(f'there is no {path}')
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.glob('*.json') if not file.name.startswith('.'))
    if not files:
        raise AnnotationError(f'{path} holds no .json; COCO or labelme files are expected')
    return files


def labels_of_frames(
    annotated: Mapping[str, AnnotatedImage], dataset: Dataset, unusable: Unusable | None = None
) -> dict[int, NDArray[np.int32]]:
    """Each image's labels by the index of the dataset's frame of that name.

    Raises:
        AnnotationError: no image is a frame of the dataset and of its size.
    """
    left_out = (unusable or Unusable()).images
    by_name = {dataset.name(index): index for index in dataset.indices}
    size = (dataset.info.intrinsics.height, dataset.info.intrinsics.width)
    labels: dict[int, NDArray[np.int32]] = {}
    for name, image in annotated.items():
        where = f'{image.file}: {name}'
        index = by_name.get(frame_name(name, by_name))
        if index is None:
            left_out.add(where, 'it is no frame; frames are named like their depth images, rename')
        elif index in labels:
            left_out.add(where, f'frame {index} is annotated twice')
        elif image.labels.shape != size:
            left_out.add(
                where,
                f'it is {_said(image.labels.shape)} px, the frames of {dataset.path} are '
                f'{_said(size)}; annotate pictures of the frames as they are',
            )
        else:
            labels[index] = image.labels
    if not labels:
        raise AnnotationError(
            f'none of the {len(annotated)} annotated images is a frame of {dataset.path}, whose '
            f'names are {", ".join(list(by_name)[:2])}, ...: {"; ".join(left_out.reasons)}'
        )
    return labels


def frame_name(name: str, frames: Mapping[str, int]) -> str:
    """The frame that an image's name means: without what tools add, or by its last number."""
    plain = SUFFIX.sub('', PREFIX.sub('', name, count=1) if PREFIX.match(name) else name)
    if name in frames or plain in frames:
        return name if name in frames else plain
    number = re.search(r'(?<!\d)(\d{6,})$', plain)
    return number[1] if number else plain


def _said(shape: tuple[int, ...]) -> str:
    return f'{shape[1]} x {shape[0]}'


def _read_file(file: Path, unusable: Unusable) -> Iterator[AnnotatedImage]:
    try:
        content = json.loads(read_text(file, MAX_FILE_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise AnnotationError(f'{file} is no JSON: {error}') from None
    keys = set(content) if isinstance(content, dict) else set()
    try:
        if {'images', 'annotations'} <= keys:
            yield from _read_coco(content, file, unusable)
        elif {'shapes', 'imagePath'} <= keys:
            yield from _read_labelme(content, file, unusable)
        else:
            raise AnnotationError(
                f'{file} is neither COCO (with images and annotations) nor labelme (with shapes '
                f'and imagePath); its keys: {", ".join(sorted(map(str, keys))[:8]) or "none"}'
            )
    except (AnnotationError, MissingLibraryError):
        raise
    except BROKEN as error:
        raise AnnotationError(f'{file} is damaged: {error!r}') from None


def _read_coco(
    content: dict[str, Any], file: Path, unusable: Unusable
) -> Iterator[AnnotatedImage]:
    """Images without annotations are left out: nobody knows whether they are empty or not done."""
    images = {str(image['id']): image for image in content['images']}
    masks: dict[str, list[tuple[str, BoolImage]]] = {}
    crowds: dict[str, list[BoolImage]] = {}
    for number, annotation in enumerate(content['annotations'], 1):
        where = f'{file}, annotation {number}'
        try:
            where = f'{file}, annotation {annotation.get("id", number)}'
            key = str(annotation['image_id'])
            if key not in images:
                raise MaskError(f'it is of image {key}, which is absent')
            size = checked_size(images[key]['height'], images[key]['width'])
            mask = _coco_mask(annotation.get('segmentation'), size)
        except MissingLibraryError:
            raise
        except BROKEN as error:
            unusable.annotations.add(where, _why(error))
            continue
        if annotation.get('iscrowd'):
            crowds.setdefault(key, []).append(mask)
        else:
            masks.setdefault(key, []).append((where, mask))
    for key, drawn in masks.items():
        name = images[key].get('file_name')
        if not isinstance(name, str):
            unusable.images.add(f'{file}, image {key}', 'it has no file_name')
        elif (combined := _combine(name, drawn, file, unusable=unusable)) is not None:
            for crowd in crowds.get(key, []):
                combined.labels[crowd & (combined.labels == 0)] = -1
            yield combined
    for key in sorted(crowds.keys() - masks.keys()):
        unusable.images.add(f'{file}, image {key}', 'it has a crowd (iscrowd), but no part')


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, MaskError) else f'it is damaged: {error!r}'


def _coco_mask(segmentation: Any, size: Size) -> BoolImage:
    """Polygons [[x, y, x, y, ...], ...] or [x, y, ...], or run lengths {size, counts}."""
    if not segmentation:
        raise MaskError('it has no segmentation; a box or a point is no mask')
    if isinstance(segmentation, dict):
        return unroll(segmentation, size)
    if all(isinstance(value, int | float) for value in segmentation):
        segmentation = [segmentation]
    return fill(segmentation, size)


def _read_labelme(
    content: dict[str, Any], file: Path, unusable: Unusable
) -> Iterator[AnnotatedImage]:
    """Shapes with the same group_id are pieces of one part, which another part divides."""
    size = checked_size(content['imageHeight'], content['imageWidth'])
    masks: dict[Any, tuple[str, BoolImage]] = {}
    for number, shape in enumerate(content['shapes'], 1):
        where = f'{file}, shape {number}'
        try:
            where = f'{file}, shape {number} ({shape.get("label")})'
            mask = _labelme_mask(shape, size)
            group = shape.get('group_id')
            key = ('alone', number) if group is None else ('group', str(group))
        except MissingLibraryError:
            raise
        except BROKEN as error:
            unusable.annotations.add(where, _why(error))
            continue
        masks[key] = (where, mask | masks[key][1] if key in masks else mask)
    if masks:
        combined = _combine(
            str(content['imagePath']), list(masks.values()), file, unusable=unusable
        )
        if combined is not None:
            yield combined


def _labelme_mask(shape: dict[str, Any], size: Size) -> BoolImage:
    kind = shape.get('shape_type', 'polygon')
    points = np.asarray(shape['points'], float)
    if kind == 'polygon':
        return fill([points.reshape(-1)], size)
    if kind != 'mask':
        raise MaskError(f'it is a {kind}; draw parts as polygons or masks')
    try:
        drawn = decode_picture(base64.b64decode(shape['mask']), 'its mask')
        drawn = cv2.cvtColor(drawn, cv2.COLOR_BGR2GRAY) if drawn.ndim == 3 else drawn
        x, y = points.min(axis=0).round().astype(int)
        mask = np.zeros(size, bool)
        if x < 0 or y < 0:
            raise MaskError(f'its mask begins at {x}, {y}, outside the image')
        part = mask[y : y + drawn.shape[0], x : x + drawn.shape[1]]
        part[:] = drawn[: part.shape[0], : part.shape[1]] > 0
    except (binascii.Error, cv2.error) as error:
        raise MaskError(f'its mask cannot be read: {error}') from None
    return mask


def _combine(
    image: str, drawn: list[tuple[str, BoolImage]], file: Path, *, unusable: Unusable
) -> AnnotatedImage | None:
    """Later masks lie on earlier ones; what then has no pixel left is no part that is seen."""
    labels = np.zeros(drawn[0][1].shape, np.int32)
    for k, (_, mask) in enumerate(drawn, 1):
        labels[mask] = k
    kept = np.unique(labels[labels > 0])
    for k, (where, mask) in enumerate(drawn, 1):
        if k not in kept:
            reason = 'later ones hide it' if mask.any() else 'it is empty or outside the image'
            unusable.annotations.add(where, f'mask {k} of {image} has no pixel: {reason}')
    if not len(kept):
        return None
    number = np.zeros(len(drawn) + 1, np.int32)
    number[kept] = np.arange(1, len(kept) + 1)
    name = PureWindowsPath(image.split('?')[0]).stem
    return AnnotatedImage(name, number[labels], file)
