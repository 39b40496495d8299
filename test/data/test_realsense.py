"""The live camera's code, run against librealsense's software device."""

from __future__ import annotations

import re
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from insegan_ros import config
from insegan_ros.data.realsense import CameraError, RealSense, RealSenseSettings, find_device
from insegan_ros.types import DepthFrame


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
        RealSense(software_camera().device, RealSenseSettings(width=640))


def test_a_missing_device_says_what_to_check(software_camera) -> None:
    import pyrealsense2 as rs

    if len(rs.context().query_devices()):
        pytest.skip('a RealSense is connected')
    with pytest.raises(CameraError, match='cable'):
        find_device()


def test_devices_are_told_apart_by_their_serials(software_camera, monkeypatch) -> None:
    import pyrealsense2 as rs

    first, second = software_camera().device, software_camera().device
    second.update_info(rs.camera_info.serial_number, '0002')
    nameless = rs.software_device()  # as one in recovery mode
    connected = SimpleNamespace(devices=[nameless, first, second])
    monkeypatch.setattr(rs, 'context', lambda: connected)
    assert find_device() is first
    assert find_device('0002') is second
    with pytest.raises(CameraError, match='no RealSense 0003; connected: 0001, 0002'):
        find_device('0003')


# --- what is asked of the device ---------------------------------------------------------------


def test_the_emitter_is_switched(software_camera) -> None:
    software = software_camera()
    for word, value in (('disabled', 0), ('enabled', 1)):
        camera = RealSense(software.device, RealSenseSettings(emitter=word))
        assert camera.warnings == []
        assert software.sensor.get_option(emitter_option()) == value


def emitter_option():
    import pyrealsense2 as rs

    return rs.option.emitter_enabled


def test_depth_units_are_set_where_they_can_be(software_camera) -> None:
    software = software_camera(finer=True)
    with RealSense(software.device, RealSenseSettings(depth_units=1e-4)) as camera:
        software.send_image(np.full((480, 848), 5000, np.uint16), 0)
        assert camera.read().depth_m[0, 0] == pytest.approx(0.5)
    assert camera.warnings == []


@pytest.mark.parametrize(
    ('asked', 'named'),
    [
        ({'preset': 'high_density'}, 'preset high_density .* visual_preset'),
        ({'laser_power': 150.0}, 'laser_power 150 .* laser_power'),
        ({'depth_units': 1e-4}, 'depth_units 0.0001 .* fixed at 0.0005'),
    ],
)
def test_what_the_device_lacks_is_named_and_it_streams_without(
    software_camera, asked: dict, named: str
) -> None:
    software = software_camera()
    with RealSense(software.device, RealSenseSettings(**asked)) as camera:
        software.send_image(np.full((480, 848), 1000, np.uint16), 0)
        assert camera.read().depth_m[0, 0] == pytest.approx(0.5)
    (warning,) = camera.warnings
    assert re.match(named, warning)
    assert 'ignored' in warning


def test_a_value_beyond_the_device_s_range_is_refused_with_the_range(software_camera) -> None:
    with pytest.raises(CameraError, match=r'emitter auto .* 0 to 1'):
        RealSense(software_camera().device, RealSenseSettings(emitter='auto'))


@pytest.mark.parametrize(
    ('asked', 'valid'),
    [
        ({'preset': 'sharp'}, "'high_accuracy'"),
        ({'emitter': 'maybe'}, "'auto'"),
        ({'hole_filling': 'yes'}, "'nearest'"),
        ({'decimation': 9}, '1 to 8'),
        ({'spatial_alpha': 0.1}, '0.25 to 1'),
        ({'depth_units': -1.0}, '0 to 0.01'),
    ],
)
def test_what_no_device_has_is_refused_with_what_is_valid(asked: dict, valid: str) -> None:
    with pytest.raises(ValueError, match=valid) as error:
        config.from_mapping(RealSenseSettings, asked)
    assert next(iter(asked)) in str(error.value)


# --- filters, which are librealsense's own ------------------------------------------------------

STEP = 424  # px: left of it is 600 mm away, the rest 500 mm
HOLE = np.s_[200:204, 100:104]


def noisy_step(rng: np.random.Generator) -> np.ndarray:
    """(480, 848) in half millimetres; noise of 3 mm, and a hole."""
    depth = np.full((480, 848), 1200.0)
    depth[:, STEP:] = 1000
    depth += rng.normal(0, 6, depth.shape)
    depth[HOLE] = 0
    return depth.astype(np.uint16)


def filtered(software_camera, **asked) -> DepthFrame:
    """The tenth image of the step."""
    software, rng = software_camera(), np.random.default_rng(0)
    with RealSense(software.device, RealSenseSettings(**asked)) as camera:
        for number in range(10):
            software.send_image(noisy_step(rng), number)
            frame = camera.read()
    assert camera.warnings == []
    return frame


def noise_mm(frame: DepthFrame) -> float:
    return 1e3 * float(np.std(frame.depth_m[:100, :100]))


def test_without_filters_images_are_as_the_device_sent_them(software_camera) -> None:
    software, units = software_camera(), noisy_step(np.random.default_rng(0))
    with RealSense(software.device) as camera:
        software.send_image(units, 0)
        depth_m = camera.read().depth_m
    assert np.array_equal(np.nan_to_num(depth_m / 0.0005).round(), units)


def test_the_temporal_filter_averages_images(software_camera) -> None:
    raw, frame = filtered(software_camera), filtered(software_camera, temporal_filter=True)
    assert noise_mm(frame) < 0.65 * noise_mm(raw)  # alpha 0.4: sqrt(0.4 / 1.6) = 0.5 at best
    assert np.isnan(frame.depth_m[HOLE]).all()


def test_the_spatial_filter_smooths_areas_and_keeps_edges(software_camera) -> None:
    raw, frame = filtered(software_camera), filtered(software_camera, spatial_filter=True)
    assert noise_mm(frame) < 0.35 * noise_mm(raw)
    near_edge = 1e3 * np.nanmean(frame.depth_m[:, STEP - 2 : STEP + 2], axis=0)
    assert near_edge == pytest.approx([600, 600, 500, 500], abs=1.0)
    assert np.isnan(frame.depth_m[HOLE]).all()


def test_a_smaller_alpha_smooths_more(software_camera) -> None:
    strong, weak = (
        filtered(software_camera, spatial_filter=True, spatial_alpha=a) for a in (0.3, 0.8)
    )
    assert noise_mm(strong) < 0.8 * noise_mm(weak)


def test_decimation_halves_the_image_and_its_camera(software_camera) -> None:
    frame = filtered(software_camera, decimation=2)
    assert frame.depth_m.shape == (240, 424)
    k = frame.intrinsics
    assert (k.width, k.height) == (424, 240)
    assert (k.fx, k.fy) == pytest.approx((211.0, 210.5))
    assert (k.cx, k.cy) == pytest.approx((211.75, 119.75), abs=0.3)


def test_holes_are_filled_only_on_request(software_camera) -> None:
    assert np.isnan(filtered(software_camera).depth_m[HOLE]).all()
    filled = filtered(software_camera, hole_filling='nearest')
    assert filled.depth_m[HOLE] == pytest.approx(0.6, abs=0.02)


def test_a_scene_that_changed_leaves_no_ghost_in_its_holes(software_camera) -> None:
    """The temporal filter's persistence would put the depths of before into new holes."""
    software = software_camera()
    with RealSense(software.device, RealSenseSettings(temporal_filter=True)) as camera:
        for number in range(5):
            units = np.full((480, 848), 1000, np.uint16)
            if number >= 3:
                units[:, :400] = 0
            software.send_image(units, number)
            depth_m = camera.read().depth_m
    assert np.isnan(depth_m[:, :400]).all()
