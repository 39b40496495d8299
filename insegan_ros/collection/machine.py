"""What the collector does next, as a state machine without clocks, topics or threads.

    waiting -> settling -> capturing -> shaking -> settling -> ...       -> done
       any of them -> paused (asked) or latched (a fault); only `start` leaves these

`step` is given the time and what is known of camera and arm and returns what to do. A fault during
a motion first stops the arm (`STOPPING`): latched means that the arm was seen to stand still, or
that it could not be seen, which the reason then says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum


class State(Enum):
    """What the collector is doing."""

    WAITING = 'waiting'
    SETTLING = 'settling'
    CAPTURING = 'capturing'
    SHAKING = 'shaking'
    STOPPING = 'stopping'
    PAUSED = 'paused'
    LATCHED = 'latched'
    DONE = 'done'


class Motion(Enum):
    """What the arm interface says of the trajectory sent last."""

    IDLE = 'idle'
    ACTIVE = 'active'
    SUCCEEDED = 'succeeded'
    FAILED = 'failed'


class Action(Enum):
    """What the caller shall do."""

    CAPTURE = 'capture'  # judge the newest frame, store it if it is good, report by `captured`
    SHAKE = 'shake'  # send one shake of strength `Machine.strength`
    CANCEL = 'cancel'  # cancel the trajectory, hold the arm still


@dataclass(frozen=True)
class Timing:
    """Seconds."""

    settle: float = 1.0  # after a shake, before stillness is looked for
    still_timeout: float = 20.0  # for the scene to come to rest
    frame_timeout: float = 2.0  # a camera silent for longer has failed
    joints_timeout: float = 0.5  # joint_states older than this are stale
    motion_timeout: float = 60.0  # a shake that takes longer has failed
    stop_timeout: float = 5.0  # for a cancelled arm to come to rest

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= 0:
                raise ValueError(f'{name} is {value} s; it must not be negative')


@dataclass(frozen=True)
class Inputs:
    """What is known at one moment."""

    frame_age: float = float('inf')  # s since the newest depth frame with new content came
    joints_age: float = float('inf')  # s since the newest joint_states
    arm_still: bool = False  # joint_states say that nothing moves
    scene_still: bool = False  # depth frames have stopped changing
    run_stop: bool = False
    run_stop_known: bool = True  # it was heard of, or need not be
    motion: Motion = Motion.IDLE
    motion_reason: str = ''
    needs_arm: bool = True  # False in a dry run
    arm_lacks: str | None = None  # what the arm's interface waits for


@dataclass(frozen=True)
class Machine:
    """The state and all that decides the next one."""

    timing: Timing
    wanted: int  # frames
    state: State = State.WAITING
    since: float = 0.0  # when the state was entered, s
    reason: str = ''  # why it paused or latched
    stored: int = 0
    strength: float = 1.0  # of the next shake
    after_stop: State = State.LATCHED  # where STOPPING leads

    def entered(self, state: State, now: float, reason: str = '') -> Machine:
        """The same machine, which enters a state now."""
        return replace(self, state=state, since=now, reason=reason)


CAMERA, STANDSTILL = 'the camera', 'the arm to stand still'  # what may be waited for
MAX_STRENGTH = 2.0
STRONGER = 1.25
REST_S = 0.3  # stillness sooner after a cancellation may be the turn of a swing
MOVING = (State.SETTLING, State.CAPTURING, State.SHAKING)


def step(machine: Machine, inputs: Inputs, now: float) -> tuple[Machine, Action | None]:
    """The next state and what to do now; call it a few times a second, with a monotonic clock."""
    elapsed = now - machine.since
    if machine.state in MOVING and (fault := _fault(machine, inputs, elapsed)):
        return _stop(machine, inputs, now, reason=fault, then=State.LATCHED)
    if machine.state is State.WAITING:
        if _missing(machine, inputs) is None and not inputs.run_stop:
            return machine.entered(State.SETTLING, now), None
    elif machine.state is State.SETTLING:
        if elapsed >= machine.timing.settle and inputs.scene_still:
            return machine.entered(State.CAPTURING, now), Action.CAPTURE
    elif machine.state is State.CAPTURING:
        return machine.entered(State.SHAKING, now), Action.SHAKE
    elif machine.state is State.SHAKING:
        if inputs.motion is Motion.SUCCEEDED:
            return machine.entered(State.SETTLING, now), None
    elif machine.state is State.STOPPING:
        return _stopping(machine, inputs, now, elapsed=elapsed), None
    return machine, None


def captured(machine: Machine, now: float, stored: bool) -> Machine:
    """After Action.CAPTURE: the frame was stored, or was rejected, so shake (harder).

    The shake is left to the next `step`: storing takes a while, and what was known of the arm and
    the run-stop before is old by then.
    """
    if machine.state is not State.CAPTURING:  # paused or latched meanwhile
        return replace(machine, stored=machine.stored + stored)
    if stored:
        machine = replace(machine, stored=machine.stored + 1, strength=1.0)
    else:
        machine = replace(machine, strength=min(machine.strength * STRONGER, MAX_STRENGTH))
    return machine.entered(State.DONE, now) if machine.stored >= machine.wanted else machine


def start(machine: Machine, now: float) -> Machine:
    """A person's ~/start: leaves paused and latched, never an arm that still moves."""
    if machine.state in (State.PAUSED, State.LATCHED):
        return machine.entered(State.WAITING, now)
    return machine


def halt(
    machine: Machine, inputs: Inputs, now: float, *, reason: str, then: State = State.PAUSED
) -> tuple[Machine, Action | None]:
    """A person's ~/pause or ~/stop, the end of the process, or (LATCHED) the caller's fault."""
    if machine.state in (State.WAITING, *MOVING):
        return _stop(machine, inputs, now, reason=reason, then=then)
    return machine, None


def waiting_for(machine: Machine, inputs: Inputs) -> str:
    """What a machine in WAITING lacks, in words."""
    return _missing(machine, inputs) or ('the release of the run-stop' if inputs.run_stop else '')


def at_rest(machine: Machine, inputs: Inputs) -> bool:
    """The arm was seen to stand still, and nothing that it was sent is being carried out."""
    seen = inputs.joints_age <= machine.timing.joints_timeout
    return seen and inputs.arm_still and inputs.motion is not Motion.ACTIVE


def _missing(machine: Machine, inputs: Inputs) -> str | None:
    if inputs.frame_age > machine.timing.frame_timeout:
        return CAMERA
    if inputs.needs_arm and inputs.joints_age > machine.timing.joints_timeout:
        return 'joint_states'
    if inputs.needs_arm and not inputs.run_stop_known:
        return 'the run-stop state'
    if inputs.needs_arm and not inputs.arm_still:  # of what was sent before this process began
        return STANDSTILL
    return inputs.arm_lacks if inputs.needs_arm else None


def _fault(machine: Machine, inputs: Inputs, elapsed: float) -> str | None:
    timing = machine.timing
    if inputs.run_stop:
        return 'the run-stop was pressed'
    if inputs.needs_arm and inputs.joints_age > timing.joints_timeout:
        return f'joint_states are {inputs.joints_age:.1f} s old'
    if inputs.frame_age > timing.frame_timeout:
        return f'the camera has shown nothing new for {inputs.frame_age:.1f} s'
    if machine.state is State.SHAKING:
        if inputs.motion is Motion.FAILED:
            return inputs.motion_reason or 'the arm did not carry out the trajectory'
        if elapsed > timing.motion_timeout:
            return f'the shake has not ended after {timing.motion_timeout:.0f} s'
    if machine.state is State.SETTLING and elapsed > timing.settle + timing.still_timeout:
        return f'the scene has not come to rest in {timing.still_timeout:.0f} s'
    return None


def _stop(
    machine: Machine, inputs: Inputs, now: float, *, reason: str, then: State
) -> tuple[Machine, Action | None]:
    if machine.state is not State.SHAKING or not inputs.needs_arm:
        return machine.entered(then, now, reason), None
    machine = replace(machine, after_stop=then)
    return machine.entered(State.STOPPING, now, reason), Action.CANCEL


def _stopping(machine: Machine, inputs: Inputs, now: float, *, elapsed: float) -> Machine:
    seen = inputs.joints_age <= machine.timing.joints_timeout
    if elapsed >= REST_S and at_rest(machine, inputs):
        return machine.entered(machine.after_stop, now, machine.reason)
    if elapsed > machine.timing.stop_timeout:
        unseen = 'the arm was still moving' if seen else 'joint_states did not show it at rest'
        return machine.entered(State.LATCHED, now, f'{machine.reason}; {unseen}')
    return machine
