"""The live camera's code, run against librealsense's software device."""

from __future__ import annotations

import contextlib
import threading
import time

import numpy as np
import pytest

from insegan_ros.data.realsense import CameraError, RealSense, find_device

# Both libraries carry a copy of Fast DDS: a process in which pyrealsense2 is loaded before rclpy
# crashes when it ends. The camera node loads it late; this file shares a process with other tests.
with contextlib.suppress(ImportError):
    import rclpy  # noqa: F401

try:
    import pyrealsense2 as rs
except ImportError as error:  # its wheel needs the system's libusb
    pytest.skip(f'pyrealsense2 cannot be imported: {error}', allow_module_level=True)

UNITS = 0.0005  # metres: not the default, so that it must be read


class SoftwareCamera:
    """A depth device of one mode, 848 x 480 z16 at 30 Hz, whose frames the test makes."""

    def __init__(self) -> None:
        self.device = rs.software_device()
        self._sensor = self.device.add_sensor('Stereo Module')
        k = rs.intrinsics()
        k.width, k.height, k.fx, k.fy, k.ppx, k.ppy = 848, 480, 422.0, 421.0, 423.5, 239.5
        k.model, k.coeffs = rs.distortion.brown_conrady, [0.0] * 5
        stream = rs.video_stream()
        stream.type, stream.fmt, stream.index, stream.uid = rs.stream.depth, rs.format.z16, 0, 1
        stream.width, stream.height, stream.fps, stream.bpp = 848, 480, 30, 2
        stream.intrinsics = k
        self._profile = self._sensor.add_video_stream(stream)
        self._sensor.add_read_only_option(rs.option.depth_units, UNITS)

    def send(self, count: int) -> None:
        for number in range(count):
            frame = rs.software_video_frame()
            frame.pixels = np.full((480, 848), 1000 + number, np.uint16)
            frame.stride, frame.bpp, frame.frame_number = 848 * 2, 2, number
            frame.timestamp, frame.domain = number * 33.3, rs.timestamp_domain.hardware_clock
            frame.profile = self._profile.as_video_stream_profile()
            self._sensor.on_video_frame(frame)
            time.sleep(0.02)


def test_frames_are_in_metres_by_the_devices_own_scale() -> None:
    software = SoftwareCamera()
    with RealSense(software.device) as camera:
        sender = threading.Thread(target=software.send, args=(20,))
        sender.start()
        frames = [camera.read() for _ in range(3)]
        sender.join()
    depths = [float(frame.depth_m[240, 424]) for frame in frames]
    assert all(0.5 <= depth < 0.51 for depth in depths)
    assert depths == sorted(set(depths))
    assert frames[0].intrinsics.fy == pytest.approx(421.0)
    assert abs(frames[0].stamp_ns - time.time_ns()) < 10e9  # not the device's own clock


def test_a_stream_that_ends_is_told_in_time() -> None:
    software = SoftwareCamera()
    with RealSense(software.device) as camera:
        start = time.monotonic()
        with pytest.raises(CameraError, match='no frame'):
            camera.read(timeout_s=0.3)
        assert time.monotonic() - start < 2


def test_an_absent_mode_is_refused_with_those_there_are() -> None:
    with pytest.raises(CameraError, match='848x480x30'):
        RealSense(SoftwareCamera().device, width=640)


def test_a_missing_device_says_what_to_check() -> None:
    if len(rs.context().query_devices()):
        pytest.skip('a RealSense is connected')
    with pytest.raises(CameraError, match='cable'):
        find_device()
