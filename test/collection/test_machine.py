"""Every fault stops the arm and stays until a person starts again."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insegan_ros.collection import machine as m
from insegan_ros.collection.machine import Action, Inputs, Machine, Motion, State, Timing

GOOD = Inputs(frame_age=0.03, joints_age=0.02, arm_still=True, scene_still=True)
TIMING = Timing()


def at(state: State, since: float = 0.0) -> Machine:
    return Machine(TIMING, wanted=3, state=state, since=since)


def test_a_collection_without_faults_stores_what_was_wanted() -> None:
    machine, now, shakes = at(State.WAITING), 0.0, 0
    inputs = GOOD
    while machine.state is not State.DONE and now < 100:
        machine, action = m.step(machine, inputs, now)
        if action is Action.CAPTURE:
            machine = m.captured(machine, now, stored=True)
        if action is Action.SHAKE:
            shakes += 1
            inputs = replace(GOOD, motion=Motion.SUCCEEDED)
        now += 0.2
    assert machine.stored == 3
    assert shakes == 2


def test_a_rejected_frame_is_shaken_harder_and_a_stored_one_resets_it() -> None:
    rejected = m.captured(at(State.CAPTURING), 0, stored=False)
    machine, action = m.step(rejected, GOOD, 0.1)
    assert action is Action.SHAKE
    assert machine.strength > 1
    machine = m.captured(replace(machine, state=State.CAPTURING), 1, stored=True)
    assert machine.strength == 1


FAULTS = [
    (replace(GOOD, run_stop=True), 'run-stop'),
    (replace(GOOD, joints_age=1.0), 'joint_states are 1.0 s old'),
    (replace(GOOD, frame_age=3.0), 'camera has shown nothing new'),
    (replace(GOOD, motion=Motion.FAILED, motion_reason='goal rejected'), 'goal rejected'),
]


@pytest.mark.parametrize(('inputs', 'reason'), FAULTS)
def test_a_fault_during_a_shake_cancels_and_latches(inputs: Inputs, reason: str) -> None:
    machine, action = m.step(at(State.SHAKING), inputs, 1.0)
    assert action is Action.CANCEL
    assert machine.state is State.STOPPING
    machine, action = m.step(machine, GOOD, 1.5)
    assert machine.state is State.LATCHED
    assert action is None
    assert reason in machine.reason


def test_a_shake_that_never_ends_is_cancelled() -> None:
    active = replace(GOOD, motion=Motion.ACTIVE)
    machine, action = m.step(at(State.SHAKING), active, TIMING.motion_timeout + 1)
    assert action is Action.CANCEL
    assert 'has not ended' in machine.reason


def test_an_arm_not_seen_at_rest_is_said_so() -> None:
    machine = replace(at(State.STOPPING), reason='the run-stop was pressed')
    blind = replace(GOOD, joints_age=9.0)
    assert m.step(machine, blind, 1.0)[0].state is State.STOPPING
    machine, _ = m.step(machine, blind, TIMING.stop_timeout + 1)
    assert machine.state is State.LATCHED
    assert 'did not show it at rest' in machine.reason


def test_a_dry_run_needs_no_arm() -> None:
    dry = replace(GOOD, joints_age=float('inf'), needs_arm=False)
    assert m.step(at(State.WAITING), dry, 0)[0].state is State.SETTLING


@pytest.mark.parametrize('state', [State.PAUSED, State.LATCHED])
def test_only_start_leaves_a_stop(state: State) -> None:
    assert m.step(at(state), GOOD, 99)[0].state is state
    assert m.start(at(state), 99).state is State.WAITING


def test_start_does_not_interrupt_the_stopping_of_an_arm() -> None:
    assert m.start(at(State.STOPPING), 1).state is State.STOPPING


def test_a_frame_stored_while_a_pause_came_is_counted() -> None:
    machine = m.captured(at(State.PAUSED), 1, stored=True)
    assert (machine.stored, machine.state) == (1, State.PAUSED)


def test_waiting_names_what_is_missing() -> None:
    assert m.waiting_for(at(State.WAITING), Inputs()) == 'the camera'
    assert m.waiting_for(at(State.WAITING), Inputs(frame_age=0.1)) == 'joint_states'
    unheard = replace(GOOD, run_stop_known=False)
    assert m.waiting_for(at(State.WAITING), unheard) == 'the run-stop state'
    absent = replace(GOOD, arm_lacks='the action server x')
    assert m.waiting_for(at(State.WAITING), absent) == 'the action server x'
    assert (
        m.waiting_for(at(State.WAITING), replace(GOOD, run_stop=True))
        == 'the release of the run-stop'
    )


ages = st.sampled_from([0.01, 0.4, 0.6, 3.0, float('inf')])
anything = st.builds(
    Inputs,
    frame_age=ages,
    joints_age=ages,
    arm_still=st.booleans(),
    scene_still=st.booleans(),
    run_stop=st.booleans(),
    motion=st.sampled_from(Motion),
)
events = st.tuples(anything, st.sampled_from(['tick', 'tick', 'pause', 'start', 'capture']))


@settings(max_examples=200, deadline=None)
@given(st.lists(events, max_size=60))
def test_the_arm_is_never_set_moving_under_a_fault(
    sequence: list[tuple[Inputs, str]],
) -> None:
    machine = at(State.WAITING)
    for k, (inputs, event) in enumerate(sequence):
        now = 0.4 * k
        action = None
        before = machine.state
        if event == 'tick':
            machine, action = m.step(machine, inputs, now)
        elif event == 'pause':
            machine, action = m.halt(machine, inputs, now, reason='asked')
        elif event == 'start':
            machine = m.start(machine, now)
        elif before is State.CAPTURING:
            machine = m.captured(machine, now, stored=bool(k % 2))
        if action is Action.SHAKE:
            assert before is State.CAPTURING
            assert not inputs.run_stop
            assert inputs.joints_age <= TIMING.joints_timeout
            assert inputs.frame_age <= TIMING.frame_timeout
        if before is State.SHAKING and machine.state not in (State.SHAKING, State.SETTLING):
            assert action is Action.CANCEL
        if before in (State.LATCHED, State.PAUSED) and event != 'start':
            assert machine.state is before


def test_nothing_begins_while_an_arm_moves_by_what_was_sent_before() -> None:
    moving = replace(GOOD, arm_still=False)
    machine, action = m.step(at(State.WAITING), moving, 1.0)
    assert (machine.state, action) == (State.WAITING, None)
    assert m.waiting_for(machine, moving) == 'the arm to stand still'
    assert m.step(machine, GOOD, 2.0)[0].state is State.SETTLING


def test_an_arm_is_at_rest_only_when_it_has_stood_still_for_longer_than_a_turn_of_a_swing() -> (
    None
):
    """At the turn of a swing joint_states show no motion for a moment."""
    stopping = at(State.STOPPING, since=10.0)
    assert m.step(stopping, GOOD, 10.05)[0].state is State.STOPPING
    assert m.step(stopping, GOOD, 10.0 + m.REST_S)[0].state is State.LATCHED


def test_a_frame_is_taken_only_when_time_has_passed_and_the_scene_is_still() -> None:
    settling = at(State.SETTLING, since=50.0)
    moving = replace(GOOD, scene_still=False)
    assert m.step(settling, GOOD, 50.0 + TIMING.settle / 2)[1] is None
    assert m.step(settling, moving, 50.0 + 2 * TIMING.settle)[1] is None
    assert m.step(settling, GOOD, 50.0 + TIMING.settle)[1] is Action.CAPTURE


def test_what_a_state_may_take_is_counted_from_when_it_was_entered() -> None:
    machine, _ = m.step(at(State.WAITING), GOOD, 50.0)
    assert (machine.state, machine.since) == (State.SETTLING, 50.0)
    assert m.step(machine, GOOD, 50.1)[0].state is State.SETTLING


def test_a_pause_during_a_shake_ends_paused_once_the_arm_stands() -> None:
    machine, action = m.halt(at(State.SHAKING), GOOD, 10.0, reason='asked to pause')
    assert (machine.state, action) == (State.STOPPING, Action.CANCEL)
    machine, _ = m.step(machine, GOOD, 11.0)
    assert (machine.state, machine.reason) == (State.PAUSED, 'asked to pause')


@pytest.mark.parametrize('state', [State.WAITING, State.SETTLING, State.CAPTURING])
def test_a_pause_while_the_arm_stands_cancels_nothing(state: State) -> None:
    machine, action = m.halt(at(state), GOOD, 10.0, reason='asked to pause')
    assert (machine.state, machine.reason, action) == (State.PAUSED, 'asked to pause', None)


def test_a_scene_that_never_comes_to_rest_is_a_fault() -> None:
    moving = replace(GOOD, scene_still=False)
    late = TIMING.settle + TIMING.still_timeout + 1
    machine, action = m.step(at(State.SETTLING), moving, late)
    assert (machine.state, action) == (State.LATCHED, None)
    assert 'has not come to rest' in machine.reason


def test_an_arm_that_is_seen_to_move_on_after_a_cancellation_is_said_so() -> None:
    machine = replace(at(State.STOPPING), reason='the run-stop was pressed')
    moving = replace(GOOD, arm_still=False)
    machine, _ = m.step(machine, moving, TIMING.stop_timeout + 1)
    assert machine.state is State.LATCHED
    assert machine.reason == 'the run-stop was pressed; the arm was still moving'


def test_the_last_frame_that_was_wanted_ends_the_collection() -> None:
    last = replace(at(State.CAPTURING), stored=2)
    done = m.captured(last, 7.0, stored=True)
    assert (done.state, done.since, done.stored) == (State.DONE, 7.0, 3)


def test_a_collection_without_an_arm_waits_for_nothing_of_an_arm() -> None:
    alone = replace(GOOD, needs_arm=False, arm_still=False, arm_lacks='a controller')
    assert m.waiting_for(at(State.WAITING), alone) == ''
    assert m.waiting_for(at(State.WAITING), replace(alone, needs_arm=True)) != ''


@pytest.mark.parametrize('inputs', [GOOD, replace(GOOD, arm_still=False)])
def test_the_time_after_a_stop_is_counted_from_its_end(inputs: Inputs) -> None:
    stopped = replace(at(State.STOPPING), after_stop=State.PAUSED)
    machine, _ = m.step(stopped, inputs, TIMING.stop_timeout + 1)
    assert machine.state in (State.PAUSED, State.LATCHED)
    assert machine.since == TIMING.stop_timeout + 1


def test_a_negative_time_is_named() -> None:
    with pytest.raises(ValueError, match='settle is -1'):
        Timing(settle=-1)
    assert Timing(settle=0)
