"""From a depth image's message to metres, whoever reads the message: a node, a bag, a file.

A message is any object with the fields of sensor_msgs Image or CompressedImage: rclpy's and the
rosbags library's both do.
"""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from insegan_ros.data.rvl import MAX_PIXELS, decode_rvl
from insegan_ros.types import FloatImage

# REP 118: metres as floats, or millimetres as 16-bit integers; mono16 is what some drivers say
DEPTH_TYPES = {'16UC1': 'u2', 'mono16': 'u2', '32FC1': 'f4', '64FC1': 'f8'}
MILLIMETRES = 0.001
MAX_PAGES = 1000  # of a TIFF that are looked at
HEADER = struct.Struct('<iff')  # compressedDepth's: a format, and how floats became integers
IMAGE_STARTS = (b'\x89PNG', b'II*\0', b'MM\0*')  # PNG and TIFF lose nothing


class MessageError(ValueError):
    """A message that cannot be used: what it says, what is valid, what to do."""


def stamp_ns(header: Any) -> int:
    """A message's time in nanoseconds; 0 where its driver set none."""
    return int(header.stamp.sec) * 10**9 + int(header.stamp.nanosec)


def depth_from_message(
    message: Any, depth_scale: float = MILLIMETRES, float_scale: float = 1.0
) -> FloatImage:
    """Image or CompressedImage -> (H, W) float32 metres, NaN where unmeasured.

    Args:
        depth_scale: metres a unit of 16-bit images.
        float_scale: metres a unit of float images: 1, or 0.001 of drivers that send millimetres.

    Raises:
        MessageError: an encoding that is no depth, or data that is damaged.
    """
    compressed = not hasattr(message, 'encoding')
    values = values_of_compressed(message) if compressed else values_of_image(message)
    return metres(values, depth_scale, float_scale)


def metres(
    values: NDArray[Any], depth_scale: float = MILLIMETRES, float_scale: float = 1.0
) -> FloatImage:
    """16-bit units or float values -> float32 metres; 0, negative and infinite become NaN."""
    scale = depth_scale if values.dtype.kind in 'ui' else float_scale
    with np.errstate(invalid='ignore', over='ignore'):
        depth_m = values.astype(np.float32) * np.float32(scale)
        depth_m[~((depth_m > 0) & (depth_m < np.inf))] = np.nan
    return depth_m


def values_of_image(image: Any) -> NDArray[Any]:
    """sensor_msgs Image -> (H, W) values as they are sent, in the machine's byte order.

    Raises:
        MessageError: an encoding that is no depth, or data of another length than is said.
    """
    kind = DEPTH_TYPES.get(image.encoding)
    if kind is None:
        raise MessageError(
            f"the depth image's encoding is {image.encoding!r}; valid: {', '.join(DEPTH_TYPES)}. "
            'Is the topic a colour image, or a picture of the depth made to be looked at?'
        )
    height, width, step = image.height, image.width, image.step
    data = np.frombuffer(image.data, np.uint8) if len(image.data) else np.zeros(0, np.uint8)
    row = width * np.dtype(kind).itemsize
    # the last row may come without its padding
    if height < 1 or width < 1 or step < row or not 0 <= step * height - len(data) <= step - row:
        raise MessageError(
            f'the depth image says {width} x {height} {image.encoding} with {step} bytes a row '
            f'but carries {len(data)} bytes; {row} bytes a row or more and {step * height} bytes '
            'are expected'
        )
    rows = np.lib.stride_tricks.as_strided(data, (height, row), (step, 1), writeable=False)
    order = '>' if image.is_bigendian else '<'
    pixels = np.ascontiguousarray(rows).view(order + kind)
    return pixels.astype(pixels.dtype.newbyteorder('='), copy=False)


def values_of_compressed(message: Any) -> NDArray[Any]:
    """CompressedImage of compressedDepth (PNG, RVL) or of a lossless `compressed` -> (H, W).

    Raises:
        MessageError: a codec that is not read or loses detail, or data that is damaged.
    """
    form, data = str(message.format), bytes(message.data)
    encoding, _, codec = (word.strip() for word in form.partition(';'))
    try:
        if 'compressedDepth' not in form:
            return _plain_compressed(form, data)
        if encoding not in DEPTH_TYPES:
            raise MessageError(f'it is {encoding}; depth is one of {", ".join(DEPTH_TYPES)}')
        if len(data) < HEADER.size:
            raise MessageError(f'it carries {len(data)} bytes')
        _, a, b = HEADER.unpack_from(data)
        rvl = codec.endswith('rvl')
        content = data[HEADER.size :]
        units = decode_rvl(content) if rvl else decode_picture(content, 'the PNG in it')
    except ValueError as error:
        raise MessageError(f'a compressed depth image of format {form!r}: {error}') from None
    if units.ndim != 2 or units.dtype != np.uint16:
        raise MessageError(f'a compressed depth image of format {form!r} holds no 16-bit image')
    if not encoding.startswith(('32F', '64F')):
        return units
    with np.errstate(divide='ignore', invalid='ignore'):  # units = a / metres + b, 0 unmeasured
        return np.where(units > 0, a / (units - np.float64(b)), np.nan)


def _plain_compressed(_form: str, data: bytes) -> NDArray[Any]:
    """image_transport's `compressed`: a PNG or TIFF as it is; a JPEG has lost the depth."""
    if not data.startswith(IMAGE_STARTS):
        raise MessageError(
            'only PNG, TIFF and RVL keep depth; convert it while it is played with `ros2 run '
            'image_transport republish`, or record the raw or the compressedDepth topic'
        )
    values = decode_picture(data, 'the image in it')
    if values.ndim != 2 or values.dtype not in (np.uint16, np.float32):
        raise MessageError(f'its image is {values.shape} {values.dtype}, which is no depth')
    return values


def decode_picture(content: bytes, where: str) -> NDArray[Any]:
    """A PNG or TIFF -> (H, W) or (H, W, channels), decoded whole or not at all.

    Raises:
        ValueError: no such file, one that is cut short, or one too large to be a depth image.
    """
    if not content:
        raise ValueError(f'{where} is empty: 0 bytes')
    if content.startswith(b'\x89PNG'):
        _check_png(content, where)
    try:
        image: Any = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ValueError(f'{where} cannot be decoded: {error.err or error}') from None
    if image is None:
        raise ValueError(f'{where} is damaged: not an image that can be read')
    same = sum(size == image.shape[:2] for size in _tiff_sizes(content))  # others are small copies
    if same > 1:
        raise ValueError(f'{where} is a stack of {same} images; one a file is expected')
    return image


def _tiff_sizes(content: bytes) -> list[tuple[int, int]]:
    """Height and width of each image in a TIFF; none of another file, or of a BigTIFF."""
    order = {b'II*\0': '<', b'MM\0*': '>'}.get(content[:4])
    if order is None or len(content) < 8:
        return []
    sizes: list[tuple[int, int]] = []
    at = struct.unpack_from(f'{order}I', content, 4)[0]
    while at and at + 2 <= len(content) and len(sizes) < MAX_PAGES:
        count = struct.unpack_from(f'{order}H', content, at)[0]
        if at + 2 + 12 * count + 4 > len(content):
            break
        told: dict[int, int] = {}
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f'{order}HH', content, entry)
            value = struct.unpack_from(f'{order}{"H" if kind == 3 else "I"}', content, entry + 8)
            told[tag] = value[0]
        sizes.append((told.get(257, 0), told.get(256, 0)))
        at = struct.unpack_from(f'{order}I', content, at + 2 + 12 * count)[0]
    return sizes


def _check_png(content: bytes, where: str) -> None:
    """OpenCV decodes what is there of a PNG that was cut short; only a whole one has its end.

    And it gets as much memory as a damaged chunk says that it has.
    """
    at, kind = 8, b''
    while at + 12 <= len(content) and kind != b'IEND':  # length, kind, the content, a checksum
        length, kind = struct.unpack_from('>I4s', content, at)
        at += 12 + length
    if len(content) < 33 or kind != b'IEND' or at > len(content):
        raise ValueError(f'{where} is damaged: it is cut short; copy it again')
    width, height = struct.unpack_from('>II', content, 16)
    if not 0 < width * height <= MAX_PIXELS:
        raise ValueError(f'{where} says {width} x {height} px')


def suspicious_depth(depth_m: FloatImage) -> str | None:
    """Why depths can hardly be metres of a bin before a camera, in words; None if they can."""
    measured = depth_m[np.isfinite(depth_m)]
    if not len(measured):
        return 'no pixel is measured: is the camera covered, or the bin out of its range?'
    middle = float(np.median(measured))
    if middle > 20:
        return f'the median depth is {middle:.0f} m: millimetres published as 32FC1 metres?'
    if middle < 0.05:
        return f'the median depth is {middle * 1000:.1f} mm: metres published as millimetres?'
    return None
