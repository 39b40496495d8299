"""The segmenter: depth images in; instances out as labels, masks, depths, points and poses.

Callbacks only store the newest frame; a thread segments it, so that a slow method drops frames,
counted on /diagnostics, instead of falling behind. Nothing is computed for a topic that nobody
listens to. A frame that takes too long is given up.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import CameraInfo, Image
from std_srvs.srv import Trigger

from insegan_ros.answer_time import AnswerTime
from insegan_ros.data.camera_model import cached_camera, info_from_message
from insegan_ros.data.depth_messages import depth_from_message, stamp_ns, suspicious_depth
from insegan_ros.deadline import Deadline
from insegan_ros.nodes import memory
from insegan_ros.nodes.cameras import scales
from insegan_ros.nodes.depth_input import DepthInput
from insegan_ros.nodes.diagnostics import diagnostics
from insegan_ros.nodes.lifecycle import in_words, main_of, steady_timer
from insegan_ros.nodes.managed_node import ManagedNode
from insegan_ros.nodes.picking import OBSTACLES, pick_outputs, templates_of
from insegan_ros.nodes.segmenter_outputs import SegmenterOutputs
from insegan_ros.nodes.segmenter_parameters import (
    FIXED,
    LIVE,
    PARAMETERS,
    ignored,
    segmenter_from_parameters,
)
from insegan_ros.nodes.segmenter_report import SegmenterReport
from insegan_ros.nodes.worker import NewestWorker
from insegan_ros.picks.symmetry import Steadier, symmetries
from insegan_ros.trust import judged
from insegan_ros.types import DepthFrame, Segmentation, Segmenter

WARN_S = 5.0  # between two of the same warning
SILENT_S = 2.0  # without a usable pair before it is said why
REPORT_S = 1.0  # between two messages on /diagnostics


@dataclass(frozen=True)
class Pair:
    """A depth image, its camera and when they came."""

    image: Image
    info: CameraInfo
    arrived_ns: int = field(default_factory=time.monotonic_ns)


class SegmenterNode(ManagedNode):
    """The node; a method or model does the work in a thread of its own."""

    def __init__(self, make: Callable[[Mapping], Segmenter] = segmenter_from_parameters) -> None:
        super().__init__('segmenter', PARAMETERS, fixed=FIXED)
        self._make = make
        self._segmenter: Segmenter | None = None
        self._outputs: SegmenterOutputs | None = None
        self._worker: NewestWorker[Pair] | None = None
        self._busy = threading.Lock()  # one frame at a time: the worker's, or a trigger's
        self._deadline = Deadline()
        self._ending = False

    # --- life cycle ----------------------------------------------------------------------------

    def build(self, given: Mapping[str, Any]) -> None:
        """The method or model, and the topics."""
        self._segmenter = self._make(given)
        self._say_ignored(given)
        self._newest: Pair | None = None
        self._progress = SegmenterReport()
        # of what is published, and of ~/plan_picks (True), which plans even if nobody hears picks
        self._answers = {posed: AnswerTime(given['answer_seconds']) for posed in (False, True)}
        self._steady = self._steadier()
        self._picking = pick_outputs(given, lambda: self._segmenter, self)
        self._outputs = SegmenterOutputs(self, self._picking.topics())
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 10)

    def begin(self) -> None:
        """Listen to the camera."""
        self._ending = False
        self._worker = NewestWorker(self._segment_pair)
        self._input = DepthInput(self, self._store, self._given['reliable'])
        self._offered = [
            self.create_service(Trigger, '~/segment', self._segment_once),
            self.create_service(Trigger, '~/plan_picks', self._pick_once),
        ]
        self._failed_picks = self.create_subscription(
            PoseStamped, '~/pick_failed', self._pick_failed, 10
        )
        self._timers = [
            steady_timer(self, REPORT_S, self._report),
            steady_timer(self, memory.EVERY_S, memory.give_back),
        ]

    def hurry(self) -> None:
        """Give up what is being worked on; called when the process is asked to end, too."""
        self._ending = True
        self._deadline.cancel()

    def halt(self) -> None:
        """Give up the frame in work, and listen no more."""
        if self._worker is None:
            return
        self.hurry()
        self._input.close()
        for service in self._offered:
            self.destroy_service(service)
        self.destroy_subscription(self._failed_picks)
        for timer in self._timers:
            self.destroy_timer(timer)
        if not self._worker.close():
            self.get_logger().warning('the frame in work does not end; its answer is dropped')
        self._worker = None
        self._take_away(ending=True)

    def _take_away(self, *, ending: bool = False) -> None:
        """Obstacles that outlived their frame."""
        message = self._picking.outlived(ending=ending)
        if message is not None and self._outputs is not None:
            self._outputs.send(OBSTACLES, message)

    def release(self) -> None:
        """The topics and the model."""
        if self._outputs is not None:
            self._outputs.close()
            self.destroy_publisher(self._diagnostics)
        self._outputs = self._segmenter = None

    def change(self, given: Mapping[str, Any]) -> None:
        """A new segmenter, where what it is made of has changed."""
        if any(given[name] != self._given[name] for name in LIVE):
            self._segmenter = self._make(given)
            self._steady = self._steadier()
        for answer in self._answers.values():
            answer.seconds = given['answer_seconds']
        self._say_ignored(given)

    def _steadier(self) -> Steadier:
        """For the shapes that the segmenter knows."""
        known = templates_of(self._segmenter)
        return Steadier([symmetries(one.surface.points) for one in known])

    def _say_ignored(self, given: Mapping[str, Any]) -> None:
        for what in ignored(given):
            self.get_logger().warning(what)

    # --- frames --------------------------------------------------------------------------------

    def _store(self, image: Image, info: CameraInfo) -> None:
        self._progress.pairs += 1
        self._newest = Pair(image, info)
        if self._given['continuous'] and self._worker is not None:
            self._worker.offer(self._newest)

    def _segment_pair(self, pair: Pair) -> None:
        """In the worker's thread; whatever a frame holds, the next one finds the node alive."""
        if self._outputs is not None and self._outputs.heard():
            self._published(pair)
        else:
            self._progress.unheard += 1
            self._progress.failing = False

    def _published(self, pair: Pair) -> tuple[DepthFrame, Segmentation] | None:
        """As `_segment`: that is then the whole answer."""
        done = self._segment(pair)
        if done is not None:
            self._answers[False].answered()
        return done

    def _segment(
        self, pair: Pair, *, posed: bool = False
    ) -> tuple[DepthFrame, Segmentation] | None:
        """What was found, also where an output failed; None where nothing was.

        `posed`: with 6-DoF poses even if no topic that needs them is heard.
        """
        doubts: list[str] = []
        try:
            frame = self._frame(pair, doubts)
            with self._busy:
                length_m = self._segmenter.part_length_m if self._segmenter else None
                found = self._steady(frame, self._within_limits(frame, posed))
                found = judged(found, frame, self._segmenter) if self._segmenter else found
            doubts += [f'doubtful: {doubt}' for doubt in found.doubts or ()]
            self._say_length(length_m)
            if found.count > (most := self._given['max_instances']):
                doubts.append(
                    f'{found.count} instances were found: no bin is seen, or no part of this '
                    f'kind; the {most} best are published (max_instances)'
                )
                found = found.best(most)
            problems: list[str] = []
            if (outputs := self._outputs) is not None:
                stack_mb = self._given['max_stack_mb']
                doubts += outputs.shortened(found, stack_mb)
                problems = outputs.publish(frame, found, pair.image.header, stack_mb=stack_mb)
        except Exception as error:  # a frame must not end the node, whatever the method raises
            # depth that cannot be is the likelier cause of what the method then ran into
            reason = f'{type(error).__name__}: {error}'
            self._failed(f'{"; ".join(doubts)} ({reason})' if doubts else reason)
            return None
        if problems:
            self._failed('; '.join(problems))
            return frame, found
        for doubt in doubts:
            self.get_logger().warning(doubt, throttle_duration_sec=WARN_S)
            self._progress.last_error = doubt
        now = self.get_clock().now().nanoseconds
        since_stamp = now - frame.stamp_ns if frame.stamp_ns else -1
        self._progress.verdict = found.verdict
        self._progress.done(since_stamp, time.monotonic_ns() - pair.arrived_ns, doubts)
        return frame, found

    def _say_length(self, before_m: float | None) -> None:
        """Log what the frames have shown of the part's length, where that is something new."""
        now_m = None if self._segmenter is None else self._segmenter.part_length_m
        now, before = (None if m is None else f'{1e3 * m:.0f} mm' for m in (now_m, before_m))
        if now not in (None, before):
            self.get_logger().info(
                f'by these frames the part is {now} long; if that is wrong, give it: '
                'model any:<metres>'
            )

    def _failed(self, reason: str) -> None:
        if not self._ending:
            self.get_logger().error(reason, throttle_duration_sec=WARN_S)
            self._progress.fail(reason)

    def _frame(self, pair: Pair, doubts: list[str]) -> DepthFrame:
        """Raises: MessageError, for messages that cannot be used."""
        header, info = pair.image.header, info_from_message(pair.info)
        depth_m = depth_from_message(pair.image, **scales(self._given['depth_unit']))
        camera = cached_camera(info, depth_m.shape[::-1], topic=self._input.image_topic)
        self._note(camera.notes)
        if info.frame_id and header.frame_id and info.frame_id != header.frame_id:
            doubts.append(
                f'the images are of {header.frame_id}, camera_info of {info.frame_id}: '
                'is it of the same stream?'
            )
        if suspicion := suspicious_depth(depth_m):
            doubts.append(suspicion)
        return camera.frame(depth_m, stamp_ns(header), header.frame_id)

    def _note(self, notes: Sequence[str]) -> None:
        """What is done with the camera's images: logged once, on /diagnostics while it lasts."""
        if (said := '; '.join(notes)) != self._progress.camera:
            self._progress.camera = said
            self.get_logger().info(f'camera_info: {said or "plain"}')

    def _within_limits(self, frame: DepthFrame, posed: bool) -> Segmentation:
        """Raises: FrameGivenUpError, where it takes too long."""
        segmenter, given, poses_s = self._segmenter, self._given, self._pose_seconds(posed)
        assert segmenter is not None  # while the node is active
        self._deadline = Deadline(given['max_seconds'] + given['pose_seconds'])
        if self._ending:  # it was called for while the deadline before was the present one
            self._deadline.cancel()
        answer = self._answers[posed]
        with self._deadline:
            found = segmenter.segment(frame, pose_seconds=poses_s, answer_seconds=answer.left)
        answer.segmented()
        return found

    def _pose_seconds(self, posed: bool) -> float:
        """Poses take longer than masks: none are made for topics that nobody hears."""
        heard = posed or (self._outputs is not None and self._outputs.heard(posed=True))
        return self._given['pose_seconds'] if heard else 0.0

    def _segment_once(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """~/segment: the newest frame, whether or not `continuous`."""
        if self._newest is None:
            response.message = f'no frame yet: {self._input.why_silent()}'
            return response
        done = self._published(self._newest)
        response.success = done is not None and not self._progress.failing
        response.message = (
            f'{done[1].count} instances'
            if done is not None and response.success
            else self._progress.last_error
        )
        return response

    def _pick_failed(self, message: PoseStamped) -> None:
        """~/pick_failed: where not to try again at once."""
        if problem := self._picking.failed(message):
            self.get_logger().warning(problem)

    def _pick_once(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """~/plan_picks: the picks of the newest frame, as JSON in the answer."""
        newest = self._newest
        if newest is None:
            response.message = f'no frame yet: {self._input.why_silent()}'
            return response
        done = self._segment(newest, posed=True)
        if done is None:
            response.message = self._progress.last_error
            return response
        try:
            response.message = self._picking.answer(*done, newest.image.header)
            response.success = True
            self._answers[True].answered()
        except Exception as error:  # without an answer the client would wait for ever
            response.message = in_words(error)
            if not isinstance(error, ValueError):  # no bin, or a gripper that does not fit into it
                self._failed(f'~/plan_picks: {response.message}')
        return response

    # --- what is said --------------------------------------------------------------------------

    def _report(self) -> None:
        self._take_away()
        progress, silent = self._progress, ''
        why = self._input.why_silent()
        if progress.silence() > SILENT_S:
            silent = why
            self.get_logger().warning(silent, throttle_duration_sec=WARN_S)
        level, message = progress.look(silent, self._given['max_latency'])
        length_m = None if self._segmenter is None else self._segmenter.part_length_m
        dropped = self._worker.dropped if self._worker else 0
        figures = progress.figures(self._given, dropped, length_m)
        self._diagnostics.publish(
            diagnostics(self, 'segmentation', message, values=figures, level=level)
        )


main = main_of(SegmenterNode)

if __name__ == '__main__':
    main()
