"""What tests of several parts stand on."""

from __future__ import annotations

import contextlib
import time
from functools import partial

import numpy as np
import pytest


class SoftwareCamera:
    """A RealSense without hardware: 848 x 480 z16 at 30 Hz, half a millimetre a unit.

    Like a D435 it has a stereo baseline and an emitter; like no D435, neither presets nor a laser
    power, and its depth units only change where `finer` lets them.
    """

    def __init__(self, rs, finer: bool = False) -> None:
        self._rs = rs
        self.device = rs.software_device()
        self.device.register_info(rs.camera_info.name, 'software')
        self.device.register_info(rs.camera_info.serial_number, '0001')
        self.sensor = self.device.add_sensor('Stereo Module')
        k = rs.intrinsics()
        k.width, k.height, k.fx, k.fy, k.ppx, k.ppy = 848, 480, 422.0, 421.0, 423.5, 239.5
        k.model, k.coeffs = rs.distortion.brown_conrady, [0.0] * 5
        stream = rs.video_stream()
        stream.type, stream.fmt, stream.index, stream.uid = rs.stream.depth, rs.format.z16, 0, 1
        stream.width, stream.height, stream.fps, stream.bpp = 848, 480, 30, 2
        stream.intrinsics = k
        self._profile = self.sensor.add_video_stream(stream)
        if finer:
            self._add_option(rs.option.depth_units, 1e-4, 0.01, 1e-6, 0.0005)
        else:
            self.sensor.add_read_only_option(rs.option.depth_units, 0.0005)
        self.sensor.add_read_only_option(rs.option.stereo_baseline, 50.0)  # mm
        self._add_option(rs.option.emitter_enabled, 0, 1, 1, 1)

    def _add_option(self, option, low: float, high: float, step: float, default: float) -> None:
        valid = self._rs.option_range()
        valid.min, valid.max, valid.step, valid.default = low, high, step, default
        self.sensor.add_option(option, valid, True)

    def send(self, count: int) -> None:
        """Frames of 1000, 1001, ... units, one every 20 ms."""
        for number in range(count):
            self.send_image(np.full((480, 848), 1000 + number, np.uint16), number)
            time.sleep(0.02)

    def send_image(self, units: np.ndarray, number: int) -> None:
        """(480, 848) uint16, taken 33.3 ms after image `number` - 1."""
        frame = self._rs.software_video_frame()
        frame.pixels = units
        frame.stride, frame.bpp, frame.frame_number = 848 * 2, 2, number
        frame.timestamp = number * 33.3  # ms
        frame.domain = self._rs.timestamp_domain.hardware_clock
        frame.profile = self._profile.as_video_stream_profile()
        self.sensor.on_video_frame(frame)


@pytest.fixture
def software_camera():
    """Makes software cameras; skips where librealsense cannot be loaded."""
    # Both libraries carry a copy of Fast DDS: a process in which pyrealsense2 is loaded before
    # rclpy crashes when it ends. The camera node, too, loads it late.
    with contextlib.suppress(ImportError):
        import rclpy  # noqa: F401
    try:
        import pyrealsense2 as rs
    except ImportError as error:  # its wheel needs the system's libusb
        pytest.skip(f'pyrealsense2 cannot be imported: {error}')
    return partial(SoftwareCamera, rs)
