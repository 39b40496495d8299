"""A depth camera over a physics-simulated bin, for trying everything without hardware.

Publishes depth/image and depth/camera_info as a D435 under realsense-ros would, joint_states of a
Fetch-like arm, and the true instances on ~/true_labels. Every few seconds the bin is filled anew,
or, `held` by the arm, shaken by what comes on joint_trajectory.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from rclpy.timer import Timer
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory

from insegan_ros.collection.settings import CollectorSettings
from insegan_ros.nodes.arm_interface import from_message
from insegan_ros.nodes.depth_publisher import QOS, DepthPublisher
from insegan_ros.nodes.lifecycle import main_of
from insegan_ros.nodes.managed_node import ManagedNode
from insegan_ros.nodes.messages import to_image
from insegan_ros.nodes.parameters import Parameter
from insegan_ros.synthetic.arm import SimulatedArm

if TYPE_CHECKING:
    from insegan_ros.synthetic.scene_stream import BinScene, SceneStream

PARAMETERS = (
    Parameter('part', 'nut', 'the part that lies in the bin; docs/parts.md shows all of them'),
    Parameter('instances', 5, 'how many parts lie in the bin', 0, 100),
    Parameter('scene_period', 3.0, 'seconds after which the bin is filled anew', 0.1, 3600.0),
    Parameter('rate', 30.0, 'frames per second', 0.1, 120.0),
    Parameter(
        'seed', 0, 'the seed of the scenes; the same seed shows the same scenes', 0, 2**31 - 1
    ),
    Parameter(
        'noise',
        True,
        'add the depth noise of a D435; if false, depths are exact to the millimetre',
    ),
    Parameter('tilt_deg', 0.0, 'angle between the camera and the vertical, degrees', 0.0, 45.0),
    Parameter(
        'camera_height', 0.45, 'height of the camera above the floor of the bin, metres', 0.2, 2.0
    ),
    Parameter(
        'bin_width', 0.0, 'width of the bin, metres; 0 makes it tight for its parts', 0.0, 1.0
    ),
    Parameter(
        'resolution', 1.0, "width and height of the image, as a share of a D435's", 0.1, 1.0
    ),
    Parameter('frame_id', 'camera_depth_optical_frame', 'the frame_id of the images'),
    Parameter(
        'held',
        False,
        'an arm, which joint_trajectory moves, holds the bin; it is never filled anew',
    ),
)


class BinSimulator(ManagedNode):
    """Shows scenes of a SceneStream; each image goes out as one of its scene's exposures."""

    def __init__(self) -> None:
        super().__init__('bin_simulator', PARAMETERS)
        self._stream: SceneStream | None = None
        self._scene: BinScene | None = None
        self._camera: DepthPublisher | None = None
        self._timer: Timer | None = None

    def build(self, given: Mapping[str, Any]) -> None:
        """Drop the first scene, or what the arm holds."""
        # Here, where interrupts are handled: physics and meshes take a while to import, and a
        # Ctrl-C in the middle of that is lost in their C code.
        from insegan_ros.depth_camera import D435, D435_NOISE
        from insegan_ros.synthetic.scene_stream import BinConfig, SceneStream
        from insegan_ros.synthetic.shaken_bin import ShakenBin

        settings = CollectorSettings()  # of the arm that a collector expects by default
        self._arm = SimulatedArm(settings.arm.limits, settings.shake.home)
        config = BinConfig(
            part=given['part'],
            instances=given['instances'],
            seed=given['seed'],
            noise=D435_NOISE if given['noise'] else None,
            tilt_degrees=given['tilt_deg'],
            camera_height=given['camera_height'],
            bin_width=given['bin_width'],
            intrinsics=D435.scaled(given['resolution']),
        )
        self._intrinsics = config.intrinsics
        self._held = ShakenBin(config, self._arm) if given['held'] else None
        if self._held is None:
            self._stream = SceneStream(config)
            self._show(self._stream.take())
        self._camera = DepthPublisher(self, given['frame_id'])
        self._joints = self.create_lifecycle_publisher(JointState, 'joint_states', QOS)
        self._truth = self.create_lifecycle_publisher(Image, '~/true_labels', QOS)
        self._asked = self.create_subscription(
            JointTrajectory, 'joint_trajectory', self._follow, 1
        )

    def begin(self) -> None:
        """Send images."""
        self._timer = self.create_timer(1 / self._given['rate'], self._publish)

    def halt(self) -> None:
        """Send no more."""
        if self._timer is not None:
            self.destroy_timer(self._timer)
            self._timer = None

    def release(self) -> None:
        """The topics, and the process that drops scenes."""
        if self._camera is not None:
            self._camera.close()
            self.destroy_subscription(self._asked)
            for publisher in (self._joints, self._truth):
                self.destroy_lifecycle_publisher(publisher)
            self._camera = None
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _show(self, scene: BinScene) -> None:
        self._exposures = [to_image(depth) for depth in scene.depth]
        self._labels = to_image(scene.labels.astype(np.uint16), 'mono16')
        self._scene = scene
        self._since = time.monotonic()
        self._shown = 0

    def _follow(self, message: JointTrajectory) -> None:
        """As a trajectory controller does, but within limits; a lone point from motion brakes."""
        now = time.monotonic()
        trajectory = from_message(message)
        if self._arm.moving(now) and len(trajectory.times) == 1:
            self._arm.brake(now)
        elif reasons := self._arm.follow(trajectory, now):
            self.get_logger().error(f'refused a trajectory: {"; ".join(reasons)}')

    def _next_scene(self, now: float) -> None:
        if self._held is not None:
            scene = self._held.look(now)
            if scene is not self._scene:
                self._show(scene)
        elif now - self._since >= self._given['scene_period'] and self._stream.ready():
            self._show(self._stream.take())

    def _publish(self) -> None:
        now = time.monotonic()
        try:
            self._next_scene(now)
        except (ValueError, RuntimeError) as error:  # the last scene stays on
            self.get_logger().error(str(error), throttle_duration_sec=5.0)
        stamp = self.get_clock().now().to_msg()
        image = self._exposures[self._shown % len(self._exposures)]
        self._shown += 1
        self._camera.publish(image, self._intrinsics, stamp)
        position, velocity, _ = self._arm.state(now)
        names = [limit.name for limit in self._arm.limits]
        joints = JointState(name=names, position=position.tolist(), velocity=velocity.tolist())
        joints.header.stamp = stamp
        self._joints.publish(joints)
        if self._truth.get_subscription_count():
            self._labels.header = image.header
            self._truth.publish(self._labels)


main = main_of(BinSimulator)

if __name__ == '__main__':
    main()
