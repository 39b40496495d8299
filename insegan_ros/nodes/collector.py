"""The collector: capture, check, store, shake, settle, and again, unattended and safely.

What to do next is decided by `collection.machine`, what is worth storing by `collection.recorder`,
what may be sent to the arm by `collection.trajectory`; this node only connects them to ROS.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.timer import Timer
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from insegan_ros.collection import machine as machines
from insegan_ros.collection.machine import Action, Inputs, Machine, Motion, State
from insegan_ros.collection.recorder import Recorder
from insegan_ros.collection.settings import CollectorSettings
from insegan_ros.collection.trajectory import shake, violations
from insegan_ros.data.camera_model import frame_from_messages
from insegan_ros.nodes import parameters
from insegan_ros.nodes.arm_interface import Arm, UnsafeTrajectoryError, make_arm
from insegan_ros.nodes.camera_watch import CameraWatch
from insegan_ros.nodes.cameras import scales
from insegan_ros.nodes.collector_report import CollectorReport, beginning
from insegan_ros.nodes.depth_input import DepthInput
from insegan_ros.nodes.diagnostics import diagnostics
from insegan_ros.nodes.joints import JointMonitor
from insegan_ros.nodes.lifecycle import in_words, main_of, serving, steady_timer, transition
from insegan_ros.types import DepthFrame

TICK_S = 0.1
PROGRESS_S = 5.0
OK = TransitionCallbackReturn.SUCCESS


class Collector(LifecycleNode):
    """The node; what it decides is `collection.machine`."""

    def __init__(self, **options: Any) -> None:
        super().__init__('collector', **options)
        parameters.declare_settings(self, CollectorSettings)
        self._machine: Machine | None = None
        self._ticking: list[Timer] = []
        self._recorder: Recorder | None = None
        self._joints: JointMonitor | None = None
        self._arm: Arm | None = None

    # --- lifecycle -----------------------------------------------------------------------------

    @transition
    def on_configure(self, _: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters and build what they ask for; a failure says why in the log."""
        settings = parameters.read_settings(self, CollectorSettings)
        if not settings.dataset or not settings.part:
            raise ValueError('the parameters dataset (a folder) and part (its name) are needed')
        folder = str(Path(settings.dataset).expanduser())
        self._settings = settings = replace(settings, dataset=folder)
        self._joints = JointMonitor(self, settings.arm.joints)
        self._arm = None if settings.dry_run else make_arm(self, settings.arm, self._joints)
        self._camera = CameraWatch(settings.gates.max_still_fraction, settings.depth_unit)
        self._run_stop: bool | None = None
        self._recorder = Recorder(settings, self.get_logger().warning)
        self._progress = CollectorReport()
        self._reported = time.monotonic()
        self._attempt = 0
        self._bad_image = ''
        self._ticked, self._late = time.monotonic(), False
        return OK

    @transition
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to work."""
        self._input = DepthInput(self, self._camera.store)
        self._heard = [self.create_subscription(Bool, 'run_stop', self._store_run_stop, 1)]
        self._offered = [
            self.create_service(Trigger, '~/start', self._start),
            self.create_service(Trigger, '~/pause', self._pause),
            self.create_service(Trigger, '~/stop', self._pause),
        ]
        self._ticking = [
            steady_timer(self, TICK_S, self._tick),
            steady_timer(self, 1.0, self._report),
        ]
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 1)
        settings = self._settings
        first = State.WAITING if settings.start else State.PAUSED
        reason = '' if settings.start else 'waiting for a call of ~/start'
        if self._machine is not None and self._machine.state is State.LATCHED:
            first, reason = State.LATCHED, self._machine.reason
        machine = Machine(settings.timing, settings.count, stored=self._recorder.stored)
        self._machine = machine.entered(first, time.monotonic(), reason)
        self.get_logger().info(beginning(settings, reason))
        return super().on_activate(state)

    @transition
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Only when the arm stands; refused once, and latched, where that cannot be seen."""
        if not self._bring_to_rest('deactivated'):
            return TransitionCallbackReturn.FAILURE
        self._fall_silent()
        return super().on_deactivate(state)

    @transition
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop, and give everything back."""
        if self._ticking:  # from the active state
            self._bring_to_rest('shut down')
            self._fall_silent()
        return self.on_cleanup(state)

    @transition
    def on_cleanup(self, _: LifecycleState) -> TransitionCallbackReturn:
        """Give everything back; parameters can be changed again."""
        self._machine = None
        for part in (self._recorder, self._joints, self._arm):
            if part is not None:
                part.close()
        self._recorder = self._joints = self._arm = None
        return OK

    def _bring_to_rest(self, reason: str) -> bool:
        """Stop a shake and wait until joint_states show the arm at rest; False: they do not."""
        self._halt(reason)
        if self._machine.state is not State.STOPPING:
            return True
        with serving(self) as serve:
            while self._machine.state is State.STOPPING:
                serve(TICK_S / 2)
                self._decide(time.monotonic())
        return machines.at_rest(self._machine, self._inputs(time.monotonic()))

    def _fall_silent(self) -> None:
        self._input.close()
        for subscription in self._heard:
            self.destroy_subscription(subscription)
        for service in self._offered:
            self.destroy_service(service)
        for timer in self._ticking:
            self.destroy_timer(timer)
        self.destroy_publisher(self._diagnostics)
        self._ticking = []

    def finish(self) -> bool:
        """Called until True before the process ends: an arm in motion is brought to rest first."""
        if self._machine is None:
            return True
        self._halt('the process was asked to end')
        return self._machine.state is not State.STOPPING

    # --- what comes in: stored, nothing else ---------------------------------------------------

    def _store_run_stop(self, pressed: Bool) -> None:
        self._run_stop = pressed.data

    def _start(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        before = self._machine.state
        self._machine = machines.start(self._machine, time.monotonic())
        response.success = self._machine.state is not before
        response.message = f'{before.value} -> {self._machine.state.value}'
        return response

    def _pause(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._halt('asked to pause')
        response.success = True
        response.message = self._machine.state.value
        return response

    # --- what is decided -----------------------------------------------------------------------

    def _tick(self) -> None:
        now = time.monotonic()
        late, self._ticked = now - self._ticked > 2 * TICK_S and not self._late, now
        self._late = late
        if late:  # after a slow disk, once: what came meanwhile is waiting to be received
            return
        try:
            self._camera.look(now)
        except ValueError as error:
            self._bad_image = str(error)
            self.get_logger().warning(str(error), throttle_duration_sec=5.0)
        else:
            self._bad_image = ''
        try:
            self._decide(now)
        except Exception as error:  # whatever it was, nothing may move on unwatched
            self._fault(in_words(error))

    def _decide(self, now: float) -> None:
        if self._arm is not None:
            self._arm.poll()
        before = self._machine
        self._machine, action = machines.step(before, self._inputs(now), now)
        self._perform(action, now)
        if self._machine.state is not before.state and self._machine.state is State.LATCHED:
            self.get_logger().error(f'stopped: {self._machine.reason}. Call ~/start to go on.')

    def _inputs(self, now: float) -> Inputs:
        arm, settings = self._arm, self._settings
        dry = Motion.SUCCEEDED if self._machine.state is State.SHAKING else Motion.IDLE
        return Inputs(
            frame_age=self._camera.age(now),
            joints_age=self._joints.age,
            arm_still=self._joints.still,
            scene_still=self._camera.still,
            run_stop=bool(self._run_stop),
            run_stop_known=self._run_stop is not None or not settings.require_run_stop,
            motion=dry if arm is None else arm.motion,
            motion_reason='' if arm is None else arm.reason,
            needs_arm=arm is not None,
            arm_lacks=None if arm is None else arm.ready(),
        )

    def _perform(self, action: Action | None, now: float) -> None:
        if action is Action.CAPTURE:
            self._capture(now)
        elif action is Action.SHAKE:
            self._shake()
        elif action is Action.CANCEL and self._arm is not None:
            self._arm.cancel()

    def _halt(self, reason: str, then: State = State.PAUSED) -> None:
        now = time.monotonic()
        self._machine, action = machines.halt(
            self._machine, self._inputs(now), now, reason=reason, then=then
        )
        self._perform(action, now)

    def _fault(self, reason: str) -> None:
        self.get_logger().error(f'stopped: {reason}. Call ~/start to go on.')
        self._halt(reason, then=State.LATCHED)

    def _capture(self, now: float) -> None:
        """Judge the newest frame and store it if it is good."""
        try:
            frame = frame_from_messages(
                self._camera.image, self._camera.info, **scales(self._settings.depth_unit)
            )
            if not self._recorder.is_open:
                self._open(frame)
            reason = self._recorder.rejection(frame)
            if self._machine.stored >= self._machine.wanted:  # a folder that was full before
                self._machine = self._machine.entered(State.DONE, now)
                return
            if reason is None:
                self._recorder.store(frame, self._joints.by_name)
        except (ValueError, OSError) as error:  # a bad message, folder or disk
            self._fault(str(error))
            return
        if reason is not None:
            self._progress.reject(reason)
            self.get_logger().info(f'not stored: {reason}')
        self._machine = machines.captured(self._machine, now, stored=reason is None)

    def _open(self, frame: DepthFrame) -> None:
        self._recorder.open(frame)
        stored = self._progress.stored_before = self._recorder.stored
        self._machine = replace(self._machine, stored=stored)
        if stored:
            self.get_logger().info(f'{self._settings.dataset} holds {stored} frames')

    def _shake(self) -> None:
        """Send one shake, drawn from the seed and the number of shakes so far."""
        settings = self._settings
        self._camera.stirred()
        self._attempt += 1
        rng = np.random.default_rng([settings.seed, self._machine.stored, self._attempt])
        start = self._joints.positions or settings.shake.home
        try:
            trajectory = shake(
                settings.shake.spec,
                settings.arm.limits,
                start,
                rng=rng,
                strength=self._machine.strength,
            )
            if self._arm is not None:
                self._arm.send(trajectory)
            elif found := violations(trajectory, settings.arm.limits, start):
                raise UnsafeTrajectoryError('; '.join(found))
        except ValueError as error:
            self._fault(f'no shake was sent: {error}')

    # --- what is said --------------------------------------------------------------------------

    def _report(self) -> None:
        now, m, progress = time.monotonic(), self._machine, self._progress
        lacks = machines.waiting_for(m, self._inputs(now)) if m.state is State.WAITING else ''
        reason = f'waits for {lacks}{self._detail(lacks)}' if lacks else m.reason
        level = DiagnosticStatus.WARN if lacks else DiagnosticStatus.OK
        if m.state is State.LATCHED:
            level = DiagnosticStatus.ERROR
        self._diagnostics.publish(
            diagnostics(
                self,
                'collection',
                reason or m.state.value,
                values=progress.figures(m, self._settings),
                level=level,
                hardware_id=self._settings.part,
            )
        )
        if now - self._reported >= PROGRESS_S:
            self._reported = now
            self.get_logger().info(progress.line(m, reason))

    def _detail(self, lacks: str) -> str:
        """What is known of why something is lacking."""
        silent = self._input.why_silent()
        if lacks == machines.CAMERA:
            return f': {self._bad_image or silent}'
        return f': {self._joints.unrest}' if lacks == machines.STANDSTILL else ''


main = main_of(Collector)

if __name__ == '__main__':
    main()
