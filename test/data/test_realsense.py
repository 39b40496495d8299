"""The live camera's code, run against librealsense's software device."""

from __future__ import annotations

import threading
import time

import pytest

from insegan_ros.data.realsense import CameraError, RealSense, find_device


def test_frames_are_in_metres_by_the_devices_own_scale(software_camera) -> None:
    software = software_camera()
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


def test_a_stream_that_ends_is_told_in_time(software_camera) -> None:
    software = software_camera()
    with RealSense(software.device) as camera:
        start = time.monotonic()
        with pytest.raises(CameraError, match='no frame'):
            camera.read(timeout_s=0.3)
        assert time.monotonic() - start < 2


def test_an_absent_mode_is_refused_with_those_there_are(software_camera) -> None:
    with pytest.raises(CameraError, match='848x480x30'):
        RealSense(software_camera().device, width=640)


def test_a_missing_device_says_what_to_check(software_camera) -> None:
    import pyrealsense2 as rs

    if len(rs.context().query_devices()):
        pytest.skip('a RealSense is connected')
    with pytest.raises(CameraError, match='cable'):
        find_device()
