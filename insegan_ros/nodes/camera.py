"""A depth camera: a RealSense device, or a recording played as if it were one.

Publishes depth/image and depth/camera_info. A recording with true labels has them on
~/true_labels. A device that is unplugged is waited for; its settings may change while it runs.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
from rclpy.time import Time
from rclpy.timer import Timer
from sensor_msgs.msg import Image

from insegan_ros import config
from insegan_ros.data.realsense import (
    RANGES,
    CameraError,
    RealSense,
    RealSenseSettings,
    find_device,
)
from insegan_ros.data.replay import KINDS, Replay, Replayed
from insegan_ros.data.store import DatasetError, to_units
from insegan_ros.nodes.depth_publisher import QOS, DepthPublisher
from insegan_ros.nodes.lifecycle import main_of
from insegan_ros.nodes.managed_node import ManagedNode
from insegan_ros.nodes.messages import to_image
from insegan_ros.nodes.parameters import Parameter
from insegan_ros.types import DepthFrame

DEFAULT = RealSenseSettings()
DESCRIPTIONS = {  # of fields of RealSenseSettings; the names in them are checked there
    'width': 'width of the RealSense depth mode, pixels',
    'height': 'height of the RealSense depth mode, pixels',
    'preset': 'default, hand, high_accuracy, high_density or medium_density; if it is empty, the '
    'device keeps its own',
    'depth_units': "metres that one unit of depth stands for; 0 keeps the device's own",
    'emitter': 'enabled, disabled or auto; if it is empty, the device keeps its own',
    'laser_power': "power of the laser, mW; -1 keeps the device's own",
    'decimation': 'divide width and height of the image by this number; 1 is off',
    'spatial_filter': 'smooth each image, but not across edges',
    'spatial_alpha': 'weight of the new value in the spatial filter; 1 smooths nothing',
    'spatial_delta': "step in depth that counts as an edge: librealsense's smooth delta",
    'temporal_filter': 'average the images of a scene at rest',
    'temporal_alpha': 'weight of the new image in the temporal filter; 1 averages nothing',
    'temporal_delta': 'step in depth that counts as a change',
    'hole_filling': 'which neighbour fills a hole: none, left, farthest or nearest',
}
DEVICE = tuple(
    Parameter(name, getattr(DEFAULT, name), said, *RANGES.get(name, ()))
    for name, said in DESCRIPTIONS.items()
)
PARAMETERS = (
    Parameter('path', '', f'what to replay: {KINDS}; if it is empty, a RealSense is opened'),
    Parameter('loop', True, 'begin a replay again when it ends'),
    Parameter('rate', 30.0, 'frames per second of a replay', 0.1, 300.0),
    Parameter('frame_id', 'camera_depth_optical_frame', 'the frame_id of the images'),
    Parameter(
        'encoding',
        '16UC1',
        '16UC1 for millimetres, or 32FC1 for metres, which keep finer depth units',
    ),
    Parameter(
        'serial',
        '',
        "the RealSense's serial number; if it is empty, the first one found is opened",
    ),
    *DEVICE,
)
FIXED = ('path', 'frame_id', 'encoding')  # only while unconfigured
ENCODINGS = ('16UC1', '32FC1')
MILLIMETRES = 0.001
RETRY_S = 1.0
SAY_AGAIN_S = 10.0


class CameraNode(ManagedNode):
    """Replays on a timer; a live device is read in a thread of its own."""

    def __init__(self) -> None:
        super().__init__('camera', PARAMETERS, fixed=FIXED)
        self._replay: Replay | None = None
        self._publisher: DepthPublisher | None = None
        self._timer: Timer | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._reopen = threading.Event()
        self._said: set[str] = set()

    def build(self, given: Mapping[str, Any]) -> None:
        """Open a recording; a device is opened once it is needed."""
        self._device_settings = device_settings(given)
        if given['path']:
            self._replay = Replay(given['path'])
            self._frames = iter(self._replay)
        self._publisher = DepthPublisher(self, given['frame_id'])
        self._truth = self.create_lifecycle_publisher(Image, '~/true_labels', QOS)

    def begin(self) -> None:
        """Send what is recorded or seen."""
        if self._replay is not None:
            self._timer = self.create_timer(1 / self._given['rate'], self._replay_one)
        else:
            self._stop.clear()
            self._thread = threading.Thread(target=self._read_device, daemon=True)
            self._thread.start()

    def halt(self) -> None:
        """End the timer or the thread."""
        self._stop.set()
        if self._timer is not None:
            self.destroy_timer(self._timer)
            self._timer = None
        if self._thread is not None:
            self._thread.join(timeout=5.0)
            self._thread = None

    def release(self) -> None:
        """The topics and the recording."""
        if self._publisher is not None:
            self._publisher.close()
            self.destroy_lifecycle_publisher(self._truth)
            self._publisher = None
        if self._replay is not None:
            self._replay.close()
            self._replay = None

    def change(self, given: Mapping[str, Any]) -> None:
        """Another rate; a device is opened again with what is asked of it now."""
        settings = device_settings(given)
        if self._timer is not None and given['rate'] != self._given['rate']:
            self._timer.timer_period_ns = round(1e9 / given['rate'])
        if (settings, given['serial']) != (self._device_settings, self._given['serial']):
            self._device_settings = settings
            self._reopen.set()

    def _replay_one(self) -> None:
        item = self._next_frame()
        for reason in self._replay.skipped:
            self.get_logger().warning(f'skipped: {reason}', throttle_duration_sec=SAY_AGAIN_S)
        self._replay.skipped.clear()
        if item is None:
            self.get_logger().info('the recording has ended')
            self.destroy_timer(self._timer)
            self._timer = None
            return
        image = self._to_image(item.frame)
        self._publisher.publish(image, item.frame.intrinsics, self.get_clock().now().to_msg())
        if item.labels is not None and self._truth.get_subscription_count():
            labels = to_image(item.labels.astype(np.uint16), 'mono16')
            labels.header = image.header
            self._truth.publish(labels)

    def _next_frame(self) -> Replayed | None:
        try:
            item = next(self._frames, None)
            if item is None and self._given['loop']:
                self._frames = iter(self._replay)
                item = next(self._frames, None)
        except DatasetError as error:
            self.get_logger().error(str(error))
            return None
        return item

    def _to_image(self, frame: DepthFrame) -> Image:
        if self._given['encoding'] == '32FC1':
            return to_image(frame.depth_m)
        return to_image(to_units(frame.depth_m, MILLIMETRES))

    def _read_device(self) -> None:
        """Open the device, send its frames, wait for it when it is gone; until asked to stop."""
        while not self._stop.is_set():
            self._reopen.clear()
            settings = self._device_settings
            try:
                with RealSense(find_device(self._given['serial']), settings) as camera:
                    self._say(camera.warnings)
                    while not self._stop.is_set() and not self._reopen.is_set():
                        frame = camera.read()
                        stamp = Time(nanoseconds=frame.stamp_ns).to_msg()
                        self._publisher.publish(self._to_image(frame), frame.intrinsics, stamp)
            except (CameraError, RuntimeError, ValueError) as error:  # no frame ends the node
                self._publisher.problem = str(error)
                self.get_logger().warning(
                    f'{error}; trying again', throttle_duration_sec=SAY_AGAIN_S
                )
                self._stop.wait(RETRY_S)

    def _say(self, warnings: list[str]) -> None:
        """On /diagnostics as long as they last; in the log once."""
        self._publisher.problem = '; '.join(warnings)
        for warning in warnings:
            if warning not in self._said:
                self.get_logger().warning(warning)
                self._said.add(warning)


def device_settings(given: Mapping[str, Any]) -> RealSenseSettings:
    """What the parameters ask of a device.

    Raises:
        ValueError: a value that no device has; the message lists those there are.
    """
    if given['encoding'] not in ENCODINGS:
        raise ValueError(f'encoding is {given["encoding"]!r}; valid: {", ".join(ENCODINGS)}')
    asked = {p.name: given[p.name] for p in DEVICE}
    return config.from_mapping(RealSenseSettings, asked | {'rate': round(given['rate'])})


main = main_of(CameraNode)

if __name__ == '__main__':
    main()
