"""The folder layout in which Insta-10, the InSeGAN paper's data set, was published.

    <class>/depth/*.png                      training images, without masks
            val/depth/*.png  val/rgb/*.png   validation images and their masks
            test/depth/*.png test/rgb/*.png  test images and their masks

A mask has its depth image's file name with `depth` replaced by `rgb`. Its distinct colours are the
instances, all but the background's. **The background is the colour that most pixels on the masks'
outer edge have**, counted over all masks of the class: parts lie within the image, and one colour
serves all of a class. Where that rule is wrong, the caller names the background's colours.

What a pixel's value means and which camera took the images is not part of the layout: `DepthCode`
and `Intrinsics` are the caller's to give.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insegan_ros.data.depth_messages import decode_picture
from insegan_ros.data.store import DatasetError, Sample
from insegan_ros.types import DepthFrame, Intrinsics

Colour = tuple[int, ...]  # R, G, B; or one grey value

SPLITS = ('train', 'val', 'test')
DEFAULT_SCALES = {'uint8': 0.004, 'uint16': 0.001}  # metres a unit: nobody has published them
LAYOUT = '<class>/depth, <class>/val/{depth,rgb}, <class>/test/{depth,rgb}'


@dataclass(frozen=True)
class DepthCode:
    """Metres = offset_m + scale * value. Without an offset the value 0 means unmeasured."""

    scale: float | None = None  # metres a unit; negative: brighter is nearer; None: by bit depth
    offset_m: float = 0.0

    def __post_init__(self) -> None:
        if self.scale is not None and not (np.isfinite(self.scale) and self.scale):
            raise ValueError(f'depth scale {self.scale}: a number other than 0 is expected')
        if not np.isfinite(self.offset_m):
            raise ValueError(f'depth offset {self.offset_m}: metres are expected')
        if self.scale is not None and self.scale < 0 and self.offset_m <= 0:
            raise ValueError(
                f'depth scale {self.scale} without a positive offset: every depth would lie '
                'behind the camera'
            )

    def metres(self, values: NDArray[np.integer]) -> NDArray[np.float32]:
        """(H, W) uint8 or uint16 -> (H, W) float32 metres, NaN where unmeasured.

        Raises:
            ValueError: a value would lie at or behind the camera.
        """
        scale = self.scale or DEFAULT_SCALES[str(values.dtype)]
        depth = (self.offset_m + scale * values.astype(np.float64)).astype(np.float32)
        if self.offset_m == 0:
            depth[values == 0] = np.nan
        elif (depth <= 0).any():
            worst = int(values[np.unravel_index(depth.argmin(), depth.shape)])
            raise ValueError(
                f'the value {worst} would be {depth.min():.3f} m away; choose scale and offset '
                'so that all depths are positive'
            )
        return depth


class Insta10:
    """One class of the published layout; files are listed and paired at once, read when asked."""

    def __init__(
        self,
        path: Path | str,
        intrinsics: Intrinsics,
        code: DepthCode = DepthCode(),
        *,
        background: Sequence[Colour] = (),
        progress: Callable[[int], object] = lambda _: None,
    ) -> None:
        """List a class's files and find the masks' background.

        Args:
            background: the masks' colours that are no instance; empty: by this module's rule.
            progress: called with the number of masks read since the last call.

        Raises:
            DatasetError: a folder is missing or empty, a mask and a depth image do not belong
                together, or a mask cannot be read.
        """
        self.path, self.intrinsics, self._code = Path(path), intrinsics, code
        depth_folders = {s: self.path / ('' if s == 'train' else s) / 'depth' for s in SPLITS}
        self.files: list[Path] = []
        self.masks: dict[int, Path] = {}
        self.splits: dict[str, list[int]] = {}
        for split, folder in depth_folders.items():
            files, first = _pngs(folder), len(self.files)
            self.splits[split] = list(range(first, first + len(files)))
            self.files += files
            if split != 'train':
                masks = _paired(files, folder.parent / 'rgb')
                self.masks |= dict(zip(self.splits[split], masks))
        self._dtype = str(_read(self.files[0]).dtype)
        self.background = frozenset(background) or frozenset({self._most_on_edges(progress)})

    def __len__(self) -> int:
        return len(self.files)

    @property
    def depth_scale(self) -> float:
        """Metres a unit with which a dataset loses nothing of the images."""
        if self._code.offset_m == 0:
            return self._code.scale or DEFAULT_SCALES[self._dtype]
        return 0.0001

    def name(self, index: int) -> str:
        """The path of an image inside the class folder."""
        return self.files[index].relative_to(self.path).as_posix()

    def __getitem__(self, index: int) -> Sample:
        """An image by its number over all splits: training, validation, test, each by name.

        Raises:
            DatasetError: it is damaged or unlike the others.
        """
        file = self.files[index]
        values = _grey(file, self._sized(file))
        if str(values.dtype) != self._dtype:
            raise DatasetError(
                f'{file} is {values.dtype}; {self.files[0]} is {self._dtype}: one class has one '
                'bit depth'
            )
        try:
            frame = DepthFrame(self._code.metres(values), self.intrinsics)
        except ValueError as error:
            raise DatasetError(f'{file}: {error}') from None
        mask = self.masks.get(index)
        labels = None if mask is None else self._labels(mask)
        return Sample(index, frame, labels, None, {'file': self.name(index)})

    def _sized(self, file: Path) -> NDArray[Any]:
        image = _read(file)
        expected = (self.intrinsics.height, self.intrinsics.width)
        if image.shape[:2] != expected:
            raise DatasetError(f'{file} is {image.shape[:2]} (H, W); {expected} is expected')
        return image

    def _labels(self, file: Path) -> NDArray[np.uint8]:
        """(H, W): the mask's colours but the background's, numbered from 1 in their order."""
        colours, where = _colours(self._sized(file))
        instances = [k for k, colour in enumerate(colours) if colour not in self.background]
        if len(instances) > 255:
            raise DatasetError(
                f'{file} has {len(instances)} colours; at most 255 instances are expected: was '
                'it resized or stored with losses?'
            )
        number = np.zeros(len(colours), np.uint8)
        number[instances] = np.arange(1, len(instances) + 1)
        return number[where]

    def _most_on_edges(self, progress: Callable[[int], object]) -> Colour:
        counts: Counter[Colour] = Counter()
        for file in self.masks.values():
            colours, where = _colours(self._sized(file))
            edge = np.concatenate([where[0], where[-1], where[1:-1, 0], where[1:-1, -1]])
            for k, count in enumerate(np.bincount(edge, minlength=len(colours)).tolist()):
                counts[colours[k]] += count
            progress(1)
        return counts.most_common(1)[0][0]


def _pngs(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DatasetError(f'there is no folder {folder}; Insta-10 has {LAYOUT}')
    files = sorted(folder.glob('*.png'))
    if not files:
        raise DatasetError(f'{folder} holds no .png')
    return files


def _paired(files: Sequence[Path], folder: Path) -> list[Path]:
    """The mask of each depth image; every mask in the folder must be one of these."""
    masks = [folder / file.name.replace('depth', 'rgb') for file in files]
    present = set(_pngs(folder))
    for file, mask in zip(files, masks):
        if mask not in present:
            raise DatasetError(f'{file} has no mask: there is no {mask}')
    alone = sorted(present - set(masks))
    if alone:
        raise DatasetError(
            f'{alone[0]}{f" and {len(alone) - 1} more" if len(alone) > 1 else ""}: a mask without '
            f'a depth image in {files[0].parent}'
        )
    return masks


def _read(file: Path) -> NDArray[Any]:
    """(H, W) or (H, W, 3) RGB; a transparency channel is left out.

    Raises: DatasetError for a file that is no whole PNG.
    """
    try:
        content = file.read_bytes()
        if not content.startswith(b'\x89PNG'):
            raise ValueError(
                f'{file} is no PNG: another kind of picture may be stored with losses'
            )
        image = decode_picture(content, str(file))
    except (OSError, ValueError) as error:
        raise DatasetError(str(error)) from None
    return image[..., 2::-1] if image.ndim == 3 else image


def _grey(file: Path, image: NDArray[Any]) -> NDArray[Any]:
    if image.ndim == 3:
        if (image != image[..., :1]).any():
            raise DatasetError(f'{file} is a colour image; a depth image is grey')
        image = image[..., 0]
    if str(image.dtype) not in DEFAULT_SCALES:
        raise DatasetError(f'{file} is {image.dtype}; 8 or 16 bits are expected')
    return image


def _colours(image: NDArray[Any]) -> tuple[list[Colour], NDArray[np.intp]]:
    """The distinct colours in their order and (H, W) which of them each pixel has."""
    pixels = image.reshape(*image.shape[:2], -1).astype(np.int64)  # (H, W, 1 or 3)
    code = np.zeros(pixels.shape[:2], np.int64)
    for channel in range(pixels.shape[2]):
        code = code << 16 | pixels[..., channel]
    _, first, where = np.unique(code, return_index=True, return_inverse=True)
    rows = pixels.reshape(-1, pixels.shape[2])[first]
    return [tuple(row) for row in rows.tolist()], where.reshape(code.shape)
