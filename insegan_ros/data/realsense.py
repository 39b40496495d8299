"""Depth frames of a RealSense device, through librealsense's Python wrapper.

pyrealsense2 is imported late: with the copy of Fast DDS that it carries, a process in which it is
loaded before rclpy crashes when it ends.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from insegan_ros.data.store import to_metres
from insegan_ros.types import DepthFrame, Intrinsics


class CameraError(RuntimeError):
    """No usable device, or it stopped sending; the message says what to check."""


def find_device(serial: str = '') -> Any:
    """The connected device with this serial number, or the first one.

    Raises:
        CameraError: pyrealsense2 cannot be imported, or there is no such device.
    """
    try:
        import pyrealsense2 as rs
    except ImportError as error:
        raise CameraError(
            f'pyrealsense2 cannot be imported ({error}); '
            'pip install pyrealsense2, and on Debian or Ubuntu: apt install libusb-1.0-0'
        ) from None
    devices = list(rs.context().query_devices())
    if not devices:
        raise CameraError(
            'no RealSense device is connected; check the cable (USB 3), the udev rules of '
            'librealsense, and that no other program holds the camera'
        )
    serials = [device.get_info(rs.camera_info.serial_number) for device in devices]
    if serial and serial not in serials:
        raise CameraError(f'no RealSense {serial}; connected: {", ".join(serials)}')
    return devices[serials.index(serial) if serial else 0]


class RealSense:
    """The depth stream of one device; a context manager that starts and stops it."""

    def __init__(self, device: Any, width: int = 848, height: int = 480, rate: int = 30) -> None:
        """Raises: CameraError where the device has no such depth mode (it lists those it has)."""
        import pyrealsense2 as rs

        try:
            self._sensor = device.first_depth_sensor()
            self.depth_scale = float(self._sensor.get_option(rs.option.depth_units))  # metres
            modes = {}
            for profile in self._sensor.get_stream_profiles():
                if profile.stream_type() == rs.stream.depth and profile.format() == rs.format.z16:
                    video = profile.as_video_stream_profile()
                    modes[(video.width(), video.height(), profile.fps())] = profile
        except RuntimeError as error:
            raise CameraError(f'the device is no depth camera, or it is gone: {error}') from None
        wanted = (width, height, rate)
        if wanted not in modes:
            listed = ', '.join('{}x{}x{}'.format(*mode) for mode in sorted(modes))
            raise CameraError(
                f'no depth mode {width}x{height}x{rate}; on this port the device has {listed}'
            )
        self._device, self._profile = device, modes[wanted]
        self._queue = rs.frame_queue(1)  # the newest frame
        k = self._profile.as_video_stream_profile().get_intrinsics()
        self.intrinsics = Intrinsics(k.width, k.height, k.fx, k.fy, k.ppx, k.ppy)
        self._clockless = rs.timestamp_domain.hardware_clock

    def __enter__(self) -> RealSense:
        try:
            self._sensor.open(self._profile)
            self._sensor.start(self._queue)
        except RuntimeError as error:
            raise CameraError(
                f'the depth stream does not start ({error}); does another program hold it?'
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        for stop in (self._sensor.stop, self._sensor.close):
            try:
                stop()
            except RuntimeError:
                continue  # unplugged: nothing is left to stop

    def read(self, timeout_s: float = 2.0) -> DepthFrame:
        """Wait for the next frame.

        Raises:
            CameraError: none came; the device was unplugged, or its USB port is overloaded.
        """
        try:
            frame = self._queue.wait_for_frame(int(1000 * timeout_s))
        except RuntimeError as error:
            raise CameraError(f'no frame for {timeout_s:g} s: {error}') from None
        known_time = frame.get_frame_timestamp_domain() != self._clockless
        stamp_ns = int(frame.get_timestamp() * 1e6) if known_time else time.time_ns()
        units = np.asanyarray(frame.get_data())
        return DepthFrame(to_metres(units, self.depth_scale), self.intrinsics, stamp_ns)
