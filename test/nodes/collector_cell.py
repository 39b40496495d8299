"""What a collector needs around it, in one process: a camera, parts, an arm."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Bool
from trajectory_msgs.msg import JointTrajectory

from insegan_ros.collection.machine import State
from insegan_ros.collection.settings import CollectorSettings
from insegan_ros.nodes.arm_interface import from_message
from insegan_ros.nodes.collector import Collector
from insegan_ros.nodes.lifecycle import autostart
from insegan_ros.nodes.messages import to_camera_info, to_image
from insegan_ros.synthetic.arm import SimulatedArm
from insegan_ros.types import Intrinsics

CAMERA = Intrinsics(64, 48, 60.0, 60.0, 32.0, 24.0)
SETTINGS = CollectorSettings()
QUICK = {
    'part': 'nut',
    'count': 3,
    'dry_run': False,
    'start': True,
    'arm.interface': 'topic',
    'arm.topic': 'joint_trajectory',
    'timing.settle': 0.1,
    'timing.joints_timeout': 0.8,
    'timing.frame_timeout': 1.0,
    'timing.stop_timeout': 2.0,
    'shake.frequency_hz': [2.0, 2.5],
    'shake.cycles': 1,
}
SLOW = {'shake.frequency_hz': [0.3, 0.35], 'shake.cycles': 2}  # seconds of shaking


class World:
    """A camera over parts that every shake rearranges, and a simulated arm."""

    def __init__(self) -> None:
        self.world = rclpy.create_node('world')
        self.images = self.world.create_publisher(Image, 'depth/image', 1)
        self.infos = self.world.create_publisher(CameraInfo, 'depth/camera_info', 1)
        self.joints = self.world.create_publisher(JointState, 'joint_states', 1)
        self.run_stop = self.world.create_publisher(Bool, 'run_stop', 1)
        self.world.create_subscription(JointTrajectory, 'joint_trajectory', self._follow, 1)
        self.arm = SimulatedArm(SETTINGS.arm.limits, SETTINGS.shake.home)
        self.rng = np.random.default_rng(0)
        self.shakes = self.brakes = 0
        self.camera_on = self.joints_on = True
        self.frozen: JointState | None = None  # sent on and on instead of the truth
        self.fresh_stamps = True  # on what is sent on and on
        self.obeys = True
        self.scene = self._rearranged()
        self.still: Image | None = None
        self.world.create_timer(0.02, self._show)
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.world)

    def _rearranged(self) -> np.ndarray:
        depth = np.full((48, 64), 600, np.uint16)
        for _ in range(4):
            y, x = self.rng.integers(0, 34), self.rng.integers(0, 50)
            depth[y : y + 14, x : x + 14] = 560
        return depth

    def _follow(self, message: JointTrajectory) -> None:
        if not self.obeys:
            return
        if self.moving() and len(message.points) == 1:
            self.brake()
        else:
            self.begin(message)

    def begin(self, message: JointTrajectory) -> None:
        """The arm follows it, by the clock that everything here goes by."""
        assert self.arm.follow(from_message(message), time.monotonic()) == []
        self.shakes += 1

    def brake(self) -> None:
        self.brakes += 1
        self.arm.brake(time.monotonic())

    def _show(self) -> None:
        now = time.monotonic()
        stamp = self.world.get_clock().now().to_msg()
        if self.joints_on:
            position, velocity, _ = self.arm.state(now)
            state = JointState(name=list(SETTINGS.arm.joints))
            state.position, state.velocity = position.tolist(), velocity.tolist()
            if self.frozen is not None:
                state = self.frozen
            if self.frozen is None or self.fresh_stamps:
                state.header.stamp = stamp
            self.shown = state
            self.joints.publish(state)
        if self.arm.moving(now):
            self.scene = self._rearranged()
        if self.camera_on:
            noise = self.rng.integers(-1, 2, self.scene.shape)
            image = self.still or to_image((self.scene + noise).astype(np.uint16))
            info = to_camera_info(CAMERA)
            image.header.stamp = info.header.stamp = stamp
            self.infos.publish(info)
            self.images.publish(image)

    def spin_until(self, condition: Callable[[], object], seconds: float = 60.0) -> bool:
        deadline = time.monotonic() + seconds
        while not condition() and time.monotonic() < deadline:
            self.executor.spin_once(timeout_sec=0.02)
        return bool(condition())

    def moving(self) -> bool:
        return self.arm.moving(time.monotonic())

    def until_moving(self) -> None:
        assert self.spin_until(self.moving)

    def rest_for(self, seconds: float) -> bool:
        """Whether the arm stands still all the time."""
        return not self.spin_until(self.moving, seconds)

    def close(self) -> None:
        self.executor.shutdown()
        self.world.destroy_node()


def collector(dataset: Path, **parameters: object) -> Collector:
    """A collector in this process, that wants three frames unless told otherwise."""
    given = QUICK | {'dataset': str(dataset)} | parameters
    return Collector(
        parameter_overrides=[Parameter(name, value=value) for name, value in given.items()]
    )


class Cell(World):
    """The same with a collector in it."""

    def __init__(self, dataset: Path, **parameters: object) -> None:
        super().__init__()
        self.collector = collector(dataset, **parameters)
        self.executor.add_node(self.collector)
        assert autostart(self.collector)

    @property
    def state(self) -> State:
        return self.collector._machine.state

    @property
    def reason(self) -> str:
        return self.collector._machine.reason

    def close(self) -> None:
        self.collector.trigger_shutdown()
        super().close()
        self.collector.destroy_node()


class Operator:
    """Changes the collector's state, and reads what it says of itself."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.said: list[str] = []
        self._client = world.world.create_client(ChangeState, 'collector/change_state')
        world.world.create_subscription(DiagnosticArray, '/diagnostics', self._store, 10)

    def _store(self, array: DiagnosticArray) -> None:
        self.said += [status.message for status in array.status]

    def begins_a_shake(self) -> None:
        assert self.world.spin_until(self._client.service_is_ready, seconds=60)
        assert self.world.spin_until(self.world.moving, seconds=60)
        self.world.spin_until(lambda: False, seconds=0.3)

    def change(self, transition: int) -> bool:
        request = ChangeState.Request(transition=Transition(id=transition))
        answer = self._client.call_async(request)
        assert self.world.spin_until(answer.done), 'no answer'
        return answer.result().success
