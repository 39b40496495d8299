"""A depth camera: a RealSense device, or a recording played as if it were one.

Publishes depth/image (16UC1, millimetres) and depth/camera_info. A recording with true labels
has them on ~/true_labels. A device that is unplugged is waited for.
"""

from __future__ import annotations

import threading

import numpy as np
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.time import Time
from sensor_msgs.msg import Image

from insegan_ros.data.realsense import CameraError, RealSense, find_device
from insegan_ros.data.replay import KINDS, Replay, Replayed
from insegan_ros.data.store import DatasetError, to_units
from insegan_ros.nodes.depth_publisher import QOS, DepthPublisher, to_image
from insegan_ros.nodes.lifecycle import main_of
from insegan_ros.nodes.parameters import Parameter, declare, values

PARAMETERS = (
    Parameter('path', '', f'what to replay: {KINDS}; empty: a RealSense device'),
    Parameter('loop', True, 'replay: begin again at the end'),
    Parameter('rate', 30.0, 'frames a second', 0.1, 300.0),
    Parameter('serial', '', "the RealSense's serial number; empty: the first one found"),
    Parameter('width', 848, 'of the RealSense depth mode, pixels', 1, 4096),
    Parameter('height', 480, 'of the RealSense depth mode, pixels', 1, 4096),
    Parameter('frame_id', 'camera_depth_optical_frame', 'of the images'),
)
MILLIMETRES = 0.001
RETRY_S = 1.0
SAY_AGAIN_S = 10.0


class Camera(LifecycleNode):
    """Replays on a timer; a live device is read in a thread of its own."""

    def __init__(self) -> None:
        super().__init__('camera')
        declare(self, PARAMETERS)
        self._replay: Replay | None = None
        self._timer = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def on_configure(self, state) -> TransitionCallbackReturn:
        self._settings = values(self, PARAMETERS)
        if self._settings['path']:
            try:
                self._replay = Replay(self._settings['path'])
            except DatasetError as error:
                self.get_logger().error(str(error))
                return TransitionCallbackReturn.FAILURE
            self._frames = iter(self._replay)
        self._publisher = DepthPublisher(self, self._settings['frame_id'])
        self._truth = self.create_lifecycle_publisher(Image, '~/true_labels', QOS)
        return super().on_configure(state)

    def on_activate(self, state) -> TransitionCallbackReturn:
        done = super().on_activate(state)
        if self._replay is not None:
            self._timer = self.create_timer(1 / self._settings['rate'], self._replay_one)
        else:
            self._stop.clear()
            self._thread = threading.Thread(target=self._read_device, daemon=True)
            self._thread.start()
        return done

    def on_deactivate(self, state) -> TransitionCallbackReturn:
        self._halt()
        return super().on_deactivate(state)

    def on_cleanup(self, state) -> TransitionCallbackReturn:
        self._release()
        return super().on_cleanup(state)

    def on_shutdown(self, state) -> TransitionCallbackReturn:
        self._halt()
        self._release()
        return super().on_shutdown(state)

    def _halt(self) -> None:
        self._stop.set()
        if self._timer is not None:
            self.destroy_timer(self._timer)
            self._timer = None
        if self._thread is not None:
            self._thread.join(timeout=5.0)
            self._thread = None

    def _release(self) -> None:
        if self._replay is not None:
            self._replay.close()
            self._replay = None

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
        image = to_image(to_units(item.frame.depth_m, MILLIMETRES))
        self._publisher.publish(image, item.frame.intrinsics, self.get_clock().now().to_msg())
        if item.labels is not None and self._truth.get_subscription_count():
            labels = to_image(item.labels.astype(np.uint16), 'mono16')
            labels.header = image.header
            self._truth.publish(labels)

    def _next_frame(self) -> Replayed | None:
        try:
            item = next(self._frames, None)
            if item is None and self._settings['loop']:
                self._frames = iter(self._replay)
                item = next(self._frames, None)
        except DatasetError as error:
            self.get_logger().error(str(error))
            return None
        return item

    def _read_device(self) -> None:
        """Until told to stop: open the device, send its frames, wait for it when it is gone."""
        settings = self._settings
        mode = settings['width'], settings['height'], round(settings['rate'])
        while not self._stop.is_set():
            try:
                with RealSense(find_device(settings['serial']), *mode) as camera:
                    self._publisher.problem = ''
                    while not self._stop.is_set():
                        frame = camera.read()
                        image = to_image(to_units(frame.depth_m, MILLIMETRES))
                        stamp = Time(nanoseconds=frame.stamp_ns).to_msg()
                        self._publisher.publish(image, frame.intrinsics, stamp)
            except CameraError as error:
                self._publisher.problem = str(error)
                self.get_logger().warning(
                    f'{error}; trying again', throttle_duration_sec=SAY_AGAIN_S
                )
                self._stop.wait(RETRY_S)


main = main_of(Camera)

if __name__ == '__main__':
    main()
