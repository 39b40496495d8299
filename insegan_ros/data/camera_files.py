"""The camera beside a folder of images, in the formats in which people have it.

ROS's calibration YAML, what `ros2 topic echo .../camera_info` prints, and JSON: of librealsense
(fx, fy, ppx, ppy, coeffs), of Open3D (intrinsic_matrix, column by column), of BOP (camera.json,
scene_camera.json), or a matrix named K, cam_K or camera_matrix.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from insegan_ros.data.camera_model import IDENTITY, CameraInfo
from insegan_ros.data.store import DatasetError
from insegan_ros.files import MAX_TEXT_BYTES, read_text

CAMERA_FILES = (
    'camera_info.yaml',
    'camera_info.yml',
    'camera_info.json',
    'camera.json',
    'scene_camera.json',
    'camera_intrinsic.json',
    'intrinsic.json',
    'intrinsics.json',
    'intrinsics.yaml',
    'camera.yaml',
    'calibration.yaml',
    'calibration.yml',
)
FORMATS = (
    "a ROS calibration YAML, the output of `ros2 topic echo --once <camera's topic>/camera_info`, "
    'or JSON of librealsense, Open3D or BOP'
)
LIBREALSENSE_MODELS = {'brown_conrady': 'plumb_bob', 'inverse_brown_conrady': 'plumb_bob'}


def find_camera_file(folder: Path) -> Path | None:
    """The first known name in the folder or, as BOP has it, beside a folder named depth."""
    places = (folder, folder.parent) if folder.name in ('depth', 'depths') else (folder,)
    for place in places:
        for name in CAMERA_FILES:
            if (place / name).is_file():
                return place / name
    return None


def read_camera_file(path: Path | str, image: str = '') -> CameraInfo:
    """The camera that a file describes.

    Args:
        image: the name of the image without its ending, for BOP's scene_camera.json, which has a
            camera for each.

    Raises:
        DatasetError: no such file, none of the known formats, or a value that is no number.
    """
    path = Path(path)
    try:
        loaded = load_camera_text(path)
        if not isinstance(loaded, Mapping):
            raise TypeError(f'it holds {type(loaded).__name__}')
        return _camera(loaded, image)
    except FileNotFoundError:
        raise DatasetError(f'there is no {path}: the camera of the images is not known') from None
    except KeyError as error:
        raise DatasetError(
            f'{path} is no camera file: it lacks {error}; {FORMATS} is expected'
        ) from None
    except (TypeError, IndexError, AttributeError, OverflowError) as error:
        raise DatasetError(f'{path} is no camera file ({error}); {FORMATS} is expected') from None
    except (ValueError, OSError, RecursionError) as error:
        raise DatasetError(f'{path}: {error}') from None


def load_camera_text(path: Path) -> Any:
    """The first document of a YAML or JSON file; `ros2 topic echo` ends each with ---."""
    text = read_text(path, MAX_TEXT_BYTES)
    if text.lstrip().startswith('{'):
        try:
            return json.loads(text)
        except json.JSONDecodeError:  # a flow mapping of YAML looks the same
            pass
    try:
        return next(iter(yaml.safe_load_all(text)), None)
    except yaml.YAMLError as error:
        raise ValueError(f'no YAML: {error}') from None


def _camera(loaded: Mapping[str, Any], image: str) -> CameraInfo:
    if 'intrinsic' in loaded and isinstance(loaded['intrinsic'], Mapping):  # Open3D's parameters
        loaded = loaded['intrinsic']
    if 'image_width' in loaded or 'camera_matrix' in loaded:
        return _calibration(loaded)
    if {'k', 'K'} & set(loaded) and ('width' in loaded or 'header' in loaded):
        return _topic_echo(loaded)
    if 'intrinsic_matrix' in loaded:
        return _open3d(loaded)
    if 'fx' in loaded:
        return _focal_lengths(loaded)
    for key in ('cam_K', 'K', 'k', 'matrix'):
        if key in loaded:
            return _matrix_alone(loaded, key)
    keys = list(loaded)
    if keys and all(isinstance(value, Mapping) and 'cam_K' in value for value in loaded.values()):
        return _bop_scene(loaded, image)
    raise KeyError(f'a camera matrix; its keys are {", ".join(map(str, keys[:8])) or "none"}')


def _numbers(values: Any, count: int) -> tuple[float, ...]:
    flat = np.asarray(values, np.float64).reshape(-1)
    if len(flat) != count:
        raise ValueError(f'a matrix has {len(flat)} numbers; {count} are expected')
    return tuple(flat.tolist())


def _listed(entry: Any) -> Any:
    """The numbers of a matrix, plain or with rows and cols."""
    return entry['data'] if isinstance(entry, Mapping) else entry


def _calibration(loaded: Mapping[str, Any]) -> CameraInfo:
    d = _listed(loaded.get('distortion_coefficients') or [])
    p = loaded.get('projection_matrix')
    r = loaded.get('rectification_matrix')
    return CameraInfo(
        _size(loaded.get('image_width')),
        _size(loaded.get('image_height')),
        _numbers(_listed(loaded['camera_matrix']), 9),
        tuple(map(float, d)),
        str(loaded.get('distortion_model') or loaded.get('camera_model') or ''),
        IDENTITY if r is None else _numbers(_listed(r), 9),
        () if p is None else _numbers(_listed(p), 12),
    )


def _topic_echo(loaded: Mapping[str, Any]) -> CameraInfo:
    def entry(name: str, default: Any) -> Any:
        value = loaded.get(name, loaded.get(name.upper()))
        return default if value is None else value

    if '...' in map(str, [*entry('d', []), *entry('k', []), *entry('p', [])]):
        raise ValueError('its arrays are cut short; use `ros2 topic echo --once --full-length`')
    roi = loaded.get('roi') or {}
    header = loaded.get('header') or {}
    p = entry('p', None)
    window = (roi.get(key, 0) for key in ('x_offset', 'y_offset', 'width', 'height'))
    x, y, width, height = map(int, window)
    return CameraInfo(
        _size(loaded.get('width')),
        _size(loaded.get('height')),
        _numbers(entry('k', None), 9),
        tuple(map(float, entry('d', []))),
        str(loaded.get('distortion_model') or ''),
        _numbers(entry('r', IDENTITY), 9),
        () if p is None else _numbers(p, 12),
        (int(loaded.get('binning_x') or 1), int(loaded.get('binning_y') or 1)),
        (x, y, width, height),
        str(header.get('frame_id') or ''),
    )


def _open3d(loaded: Mapping[str, Any]) -> CameraInfo:
    """Its matrices are stored column by column; depth_scale is units a metre."""
    k = np.reshape(_numbers(loaded['intrinsic_matrix'], 9), (3, 3))
    if k[0, 2] == 0 and k[1, 2] == 0:
        k = k.T
    units = loaded.get('depth_scale')
    return CameraInfo(
        _size(loaded.get('width')),
        _size(loaded.get('height')),
        tuple(k.reshape(-1).tolist()),
        depth_scale=None if units is None else 1 / float(units),
    )


def _focal_lengths(loaded: Mapping[str, Any]) -> CameraInfo:
    """librealsense has ppx, ppy; BOP's camera.json cx, cy and a depth_scale in millimetres."""
    cx = loaded['ppx'] if 'ppx' in loaded else loaded['cx']
    cy = loaded['ppy'] if 'ppy' in loaded else loaded['cy']
    k = (float(loaded['fx']), 0.0, float(cx), 0.0, float(loaded['fy']), float(cy), 0.0, 0.0, 1.0)
    model = str(loaded.get('model') or loaded.get('distortion_model') or '').lower()
    model = model.removeprefix('distortion.').replace(' ', '_')
    d = loaded.get('coeffs') or loaded.get('distortion') or []
    return CameraInfo(
        _size(loaded.get('width')),
        _size(loaded.get('height')),
        k,
        tuple(map(float, d)) if isinstance(d, Sequence) and not isinstance(d, str) else (),
        LIBREALSENSE_MODELS.get(model, model),
        depth_scale=_bop_scale(loaded),
    )


def _matrix_alone(loaded: Mapping[str, Any], key: str) -> CameraInfo:
    return CameraInfo(
        _size(loaded.get('width')),
        _size(loaded.get('height')),
        _numbers(_listed(loaded[key]), 9),
        depth_scale=_bop_scale(loaded),
    )


def _bop_scene(loaded: Mapping[str, Any], image: str) -> CameraInfo:
    """The camera of the image of this number; without one, the first's."""
    by_number = {int(key): value for key, value in loaded.items()}
    number = int(image) if image.isdecimal() else min(by_number)
    if number not in by_number:
        raise KeyError(f'image {number}')
    return _matrix_alone(by_number[number], 'cam_K')


def _bop_scale(loaded: Mapping[str, Any]) -> float | None:
    """BOP: a value times depth_scale is millimetres; pyrealsense2's depth_scale is metres."""
    scale = loaded.get('depth_scale')
    if scale is None:
        return None
    value = float(scale)
    return value if value < 0.005 else value / 1000


def _size(value: Any) -> int:
    return 0 if value is None else int(value)
