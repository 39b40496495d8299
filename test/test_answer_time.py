"""Time that is set aside for what follows a segmentation."""

import threading

from insegan_ros.answer_time import FIRST_S, AnswerTime


class Clock:
    """Stands still unless it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def answered(answer: AnswerTime, clock: Clock, *, after: float) -> None:
    answer.segmented()
    clock.now += after
    answer.answered()


def test_a_segmentation_gets_what_the_rest_of_the_frames_before_did_not_take() -> None:
    clock = Clock()
    answer = AnswerTime(0.3, clock)
    assert answer.left == 0.3 - FIRST_S
    for _ in range(3):
        answered(answer, clock, after=0.06)
    assert abs(answer.left - 0.24) < 1e-9


def test_one_slow_answer_of_many_takes_no_time_from_those_after_it() -> None:
    clock = Clock()
    answer = AnswerTime(0.3, clock)
    for frame in range(30):
        answered(answer, clock, after=2.0 if frame == 20 else 0.1)
    assert abs(answer.left - 0.2) < 1e-9


def test_no_time_is_left_where_the_rest_takes_all_of_it() -> None:
    clock = Clock()
    answer = AnswerTime(0.3, clock)
    answered(answer, clock, after=0.5)
    assert answer.left == 0.0


def test_threads_do_not_take_each_others_frames_for_their_own() -> None:
    clock = Clock()
    answer = AnswerTime(1.0, clock)
    answer.segmented()
    clock.now += 0.4
    other = threading.Thread(target=answered, args=(answer, clock), kwargs={'after': 0.0})
    other.start()
    other.join()
    assert answer.left == 1.0
    for _ in range(9):
        answer.answered()
    assert abs(answer.left - 0.6) < 1e-9
