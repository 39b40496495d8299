"""Depth frames of a RealSense device, through librealsense's Python wrapper.

pyrealsense2 is imported late: with the copy of Fast DDS that it carries, a process in which it is
loaded before rclpy crashes when it ends.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from insegan_ros.data.depth_messages import metres
from insegan_ros.types import DepthFrame, Intrinsics

# on and off would be taken for booleans by YAML
EMITTER = {'disabled': 0, 'enabled': 1, 'auto': 2}  # librealsense's emitter_enabled
RANGES = {
    'width': (1, 4096),
    'height': (1, 4096),
    'depth_units': (0, 0.01),
    'laser_power': (-1, 1000),
    'decimation': (1, 8),
    'spatial_alpha': (0.25, 1),
    'spatial_delta': (1, 50),
    'temporal_alpha': (0, 1),
    'temporal_delta': (1, 100),
}
HOLE_FILLING = {'left': 0, 'farthest': 1, 'nearest': 2}  # its hole_filling_filter's modes


class CameraError(RuntimeError):
    """No usable device, or it stopped sending; the message says what to check."""


@dataclass(frozen=True)
class RealSenseSettings:
    """What is asked of a device; '', 0 and -1 leave it as the device has it.

    No filter runs by default, as in realsense-ros: each of them puts depths where none were
    measured, or between those that were, and so changes what is learned. The order of those that
    run is librealsense's: decimation, spatial and temporal on disparities, hole filling.
    """

    width: int = 848  # of the depth mode, px
    height: int = 480
    rate: int = 30  # Hz
    preset: Literal['', 'default', 'hand', 'high_accuracy', 'high_density', 'medium_density'] = (
        ''  # the device's advanced settings, by name
    )
    depth_units: float = 0.0  # metres a unit
    emitter: Literal['', 'disabled', 'enabled', 'auto'] = ''
    laser_power: float = -1.0  # mW
    decimation: int = 1  # times narrower and lower; 1: off
    spatial_filter: bool = False  # smooths within an image up to its edges
    spatial_alpha: float = 0.5  # 1: not at all
    spatial_delta: int = 20  # what counts as an edge: librealsense's smooth delta
    temporal_filter: bool = False  # averages over images: for scenes at rest
    temporal_alpha: float = 0.4
    temporal_delta: int = 20
    hole_filling: Literal['none', 'left', 'farthest', 'nearest'] = 'none'

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f'{name} is {getattr(self, name)}; valid: {low} to {high}')


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
    try:
        key = rs.camera_info.serial_number
        devices = {d.get_info(key): d for d in rs.context().devices if d.supports(key)}
    except RuntimeError as error:  # one was pulled out while it was asked
        raise CameraError(f'the connected devices cannot be listed: {error}') from None
    if not devices:
        raise CameraError(
            'no RealSense device is connected; check the cable (USB 3), the udev rules of '
            'librealsense, and that no other program holds the camera'
        )
    if serial and serial not in devices:
        raise CameraError(f'no RealSense {serial}; connected: {", ".join(devices)}')
    return devices[serial or next(iter(devices))]


class RealSense:
    """The depth stream of one device; a context manager that starts and stops it.

    `warnings` says what was asked for that the device does not have: it streams without.
    """

    def __init__(self, device: Any, settings: RealSenseSettings | None = None) -> None:
        """Raises: CameraError where the device has no such depth mode or value (it lists them)."""
        import pyrealsense2 as rs

        self.settings = settings or RealSenseSettings()
        self.warnings: list[str] = []
        try:
            self._sensor = device.first_depth_sensor()
            self._profile = self._find_profile()
            self._set_options()
            self.depth_scale = float(self._sensor.get_option(rs.option.depth_units))  # metres
            stereo = self._sensor.supports(rs.option.stereo_baseline)
        except RuntimeError as error:
            if isinstance(error, CameraError):
                raise
            raise CameraError(f'the device is no depth camera, or it is gone: {error}') from None
        self._filters = make_filters(self.settings, stereo)
        self._device = device  # librealsense closes one that nobody holds
        self._queue = rs.frame_queue(1)  # the newest frame
        self._clockless = rs.timestamp_domain.hardware_clock

    def _find_profile(self) -> Any:
        import pyrealsense2 as rs

        wanted = (self.settings.width, self.settings.height, self.settings.rate)
        modes = {}
        for profile in self._sensor.get_stream_profiles():
            if profile.stream_type() == rs.stream.depth and profile.format() == rs.format.z16:
                video = profile.as_video_stream_profile()
                modes[(video.width(), video.height(), profile.fps())] = profile
        if wanted not in modes:
            listed = ', '.join('{}x{}x{}'.format(*mode) for mode in sorted(modes))
            raise CameraError(
                'no depth mode {}x{}x{}; on this port the device has {}'.format(*wanted, listed)
            )
        return modes[wanted]

    def _set_options(self) -> None:
        """The preset first: it changes the others."""
        import pyrealsense2 as rs

        asked = self.settings
        if asked.preset:
            value = int(getattr(rs.rs400_visual_preset, asked.preset))
            self._set_option(rs.option.visual_preset, value, 'preset', word=asked.preset)
        if asked.depth_units:
            self._set_option(rs.option.depth_units, asked.depth_units, 'depth_units')
        if asked.emitter:
            value = EMITTER[asked.emitter]
            self._set_option(rs.option.emitter_enabled, value, 'emitter', word=asked.emitter)
        if asked.laser_power >= 0:
            self._set_option(rs.option.laser_power, asked.laser_power, 'laser_power')

    def _set_option(self, option: Any, value: float, name: str, *, word: str = '') -> None:
        sensor, asked = self._sensor, f'{name} {word or f"{value:g}"}'
        if not sensor.supports(option):
            self.warnings.append(f'{asked} is ignored: this device has no option {option.name}')
        elif sensor.is_option_read_only(option):
            present = sensor.get_option(option)
            if not np.isclose(present, value):
                self.warnings.append(
                    f'{asked} is ignored: {option.name} of this device is fixed at {present:g}'
                )
        else:
            valid = sensor.get_option_range(option)
            if not valid.min <= value <= valid.max:
                raise CameraError(
                    f'{asked} is not possible: {option.name} of this device is '
                    f'{valid.min:g} to {valid.max:g} in steps of {valid.step:g}'
                )
            try:
                sensor.set_option(option, value)
            except RuntimeError as error:
                self.warnings.append(f'{asked} is ignored: the device refused it ({error})')

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
        """Wait for the next frame, filtered.

        Raises:
            CameraError: none came; the device was unplugged, or its USB port is overloaded.
        """
        try:
            frame = self._queue.wait_for_frame(int(1000 * timeout_s))
            known_time = frame.get_frame_timestamp_domain() != self._clockless
            stamp_ns = int(frame.get_timestamp() * 1e6) if known_time else time.time_ns()
            for block in self._filters:
                frame = block.process(frame)
            k = frame.get_profile().as_video_stream_profile().get_intrinsics()
            units = np.asanyarray(frame.get_data())
        except RuntimeError as error:
            raise CameraError(f'no frame for {timeout_s:g} s: {error}') from None
        intrinsics = Intrinsics(k.width, k.height, k.fx, k.fy, k.ppx, k.ppy)
        return DepthFrame(metres(units, self.depth_scale), intrinsics, stamp_ns)


def make_filters(settings: RealSenseSettings, stereo: bool) -> list[Any]:
    """librealsense's post-processing blocks in the order in which frames go through them.

    Args:
        stereo: the device knows its baseline, without which there is no disparity.
    """
    import pyrealsense2 as rs

    smoothing = []
    if settings.spatial_filter:
        passes, fill = 2, 0
        smoothing.append(
            rs.spatial_filter(settings.spatial_alpha, settings.spatial_delta, passes, fill)
        )
    if settings.temporal_filter:
        persistence = 0  # what a hole hides is not what was there before the bin was shaken
        smoothing.append(
            rs.temporal_filter(settings.temporal_alpha, settings.temporal_delta, persistence)
        )
    if smoothing and stereo:
        smoothing = [rs.disparity_transform(True), *smoothing, rs.disparity_transform(False)]
    filters = [rs.decimation_filter(settings.decimation)] if settings.decimation > 1 else []
    filters += smoothing
    if settings.hole_filling != 'none':
        filters.append(rs.hole_filling_filter(HOLE_FILLING[settings.hole_filling]))
    return filters
