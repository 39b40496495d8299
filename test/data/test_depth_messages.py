"""Depth messages of every layout become metres."""

from __future__ import annotations

import struct
from array import array
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from insegan_ros.data.depth_messages import MessageError, depth_from_message, suspicious_depth
from insegan_ros.data.rvl import decode_rvl

shapes = hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)


def rvl_bytes(depth: np.ndarray) -> bytes:
    """(H, W) uint16 as Wilson's paper describes it, a number at a time."""
    nibbles: list[int] = []

    def number(value: int) -> None:
        while True:
            nibbles.append(value & 7 | (8 if value > 7 else 0))
            value >>= 3
            if not value:
                return

    flat, at, last = depth.reshape(-1).tolist(), 0, 0
    while at < len(flat):
        end = at
        while end < len(flat) and flat[end] == 0:
            end += 1
        number(end - at)
        at = end
        while end < len(flat) and flat[end] != 0:
            end += 1
        number(end - at)
        for value in flat[at:end]:
            step, last = value - last, value
            number(step << 1 if step >= 0 else (-step << 1) - 1)
        at = end
    nibbles += [0] * (-len(nibbles) % 8)
    words = [
        sum(nibble << 28 - 4 * k for k, nibble in enumerate(nibbles[start : start + 8]))
        for start in range(0, len(nibbles), 8)
    ]
    size = struct.pack('<II', depth.shape[1], depth.shape[0])
    return size + struct.pack(f'<{len(words)}I', *words)


@settings(deadline=None)
@given(hnp.arrays(np.uint16, shapes), st.booleans())
def test_rvl_gives_back_what_was_packed(depth: np.ndarray, holes: bool) -> None:
    if holes:
        depth[depth % 3 == 0] = 0
    np.testing.assert_array_equal(decode_rvl(rvl_bytes(depth)), depth)


def test_rvl_that_is_cut_short_is_named() -> None:
    data = rvl_bytes(np.arange(1, 401, dtype=np.uint16).reshape(20, 20))
    for length in (3, 8, 20, len(data) // 2):
        with pytest.raises(ValueError, match='RVL data'):
            decode_rvl(data[:length])


def image(pixels: np.ndarray, encoding: str, step: int, data: bytes, big: bool = False):
    header = SimpleNamespace(stamp=SimpleNamespace(sec=1, nanosec=2), frame_id='f')
    return SimpleNamespace(
        header=header,
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        step=step,
        is_bigendian=int(big),
        data=array('B', data),
    )


def test_the_last_row_may_come_without_its_padding() -> None:
    pixels = np.arange(1, 13, dtype='<u2').reshape(3, 4)
    rows = [row.tobytes() for row in pixels]
    data = rows[0] + b'\7' * 5 + rows[1] + b'\7' * 5 + rows[2]
    depth = depth_from_message(image(pixels, '16UC1', 13, data))
    np.testing.assert_allclose(depth, pixels / 1000, rtol=1e-6)


def test_doubles_and_infinite_depths_are_read() -> None:
    pixels = np.array([[0.5, np.inf], [-1.0, np.nan]])
    for big in (False, True):
        data = pixels.astype('>f8' if big else '<f8').tobytes()
        depth = depth_from_message(image(pixels, '64FC1', 16, data, big))
        np.testing.assert_array_equal(depth, np.array([[0.5, np.nan], [np.nan, np.nan]], 'f4'))


def test_units_are_the_callers() -> None:
    pixels = np.full((2, 2), 6000, '<u2')
    tenths = depth_from_message(image(pixels, '16UC1', 4, pixels.tobytes()), depth_scale=1e-4)
    assert tenths[0, 0] == pytest.approx(0.6)
    floats = np.full((2, 2), 600, '<f4')
    message = image(floats, '32FC1', 8, floats.tobytes())
    assert depth_from_message(message, float_scale=0.001)[0, 0] == pytest.approx(0.6)


@pytest.mark.parametrize('encoding', ['8UC1', 'mono8', 'rgb8', 'bgra8', '16UC3', '', '16SC1'])
def test_what_is_no_depth_is_refused_with_what_is(encoding: str) -> None:
    pixels = np.zeros((2, 2), np.uint16)
    with pytest.raises(MessageError, match=r'valid: 16UC1, mono16, 32FC1'):
        depth_from_message(image(pixels, encoding, 4, pixels.tobytes()))


@pytest.mark.parametrize('sides', [(0, 4), (4, 0), (0, 0)])
def test_an_image_without_pixels_is_refused(sides: tuple[int, int]) -> None:
    with pytest.raises(MessageError, match=f'says {sides[1]} x {sides[0]}'):
        depth_from_message(image(np.zeros(sides, np.uint16), '16UC1', 8, b''))


def compressed(form: str, data: bytes) -> SimpleNamespace:
    return SimpleNamespace(format=form, data=np.frombuffer(data, np.uint8))


def test_every_lossless_codec_is_read() -> None:
    units = np.arange(12 * 16, dtype=np.uint16).reshape(12, 16) + 400
    head = struct.pack('<iff', 0, 0, 0)
    png, tiff = (cv2.imencode(ending, units)[1].tobytes() for ending in ('.png', '.tiff'))
    for form, data in (
        ('16UC1; compressedDepth png', head + png),
        ('16UC1; compressedDepth', head + png),
        ('16UC1; compressedDepth rvl', head + rvl_bytes(units)),
        ('16UC1;compressedDepth rvl', head + rvl_bytes(units)),
        ('16UC1; png compressed ', png),
        ('16UC1; tiff compressed ', tiff),
        ('png', png),
    ):
        depth = depth_from_message(compressed(form, data))
        np.testing.assert_allclose(depth, units / 1000, rtol=1e-6, err_msg=form)


def test_metres_packed_by_rvl_are_unpacked() -> None:
    metres, a, b = np.linspace(0.3, 1.5, 192).reshape(12, 16), 10100.0, -1009.0
    units = (a / metres + b).round().astype(np.uint16)
    data = struct.pack('<iff', 0, a, b) + rvl_bytes(units)
    depth = depth_from_message(compressed('32FC1; compressedDepth rvl', data))
    np.testing.assert_allclose(depth, metres, rtol=1e-3)


def test_a_jpeg_is_refused_with_what_to_do() -> None:
    data = cv2.imencode('.jpg', np.zeros((8, 8), np.uint8))[1].tobytes()
    with pytest.raises(MessageError, match='republish'):
        depth_from_message(compressed('16UC1; jpeg compressed mono8', data))


def test_a_png_that_is_cut_short_is_no_image() -> None:
    units = np.random.default_rng(0).integers(400, 900, (48, 64)).astype(np.uint16)
    data = cv2.imencode('.png', units)[1].tobytes()
    with pytest.raises(MessageError, match='cut short'):
        depth_from_message(compressed('16UC1; png compressed', data[: len(data) // 2]))


@pytest.mark.parametrize(('metres', 'suspected'), [(0.6, False), (600.0, True), (0.0006, True)])
def test_a_wrong_unit_is_suspected(metres: float, suspected: bool) -> None:
    assert bool(suspicious_depth(np.full((3, 3), metres, np.float32))) == suspected
