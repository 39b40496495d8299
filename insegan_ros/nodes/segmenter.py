"""The segmenter: depth images in; instances out as labels, masks, depths, points and poses.

Callbacks only store the newest frame; a thread segments it, so that a slow method drops frames,
counted on /diagnostics, instead of falling behind. Nothing is computed for a topic that nobody
listens to.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import message_filters
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter as Changed
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_srvs.srv import Trigger

from insegan_ros import baselines
from insegan_ros.bin import load_bin
from insegan_ros.data.camera_model import frame_from_messages
from insegan_ros.data.depth_messages import stamp_ns, suspicious_depth
from insegan_ros.nodes import messages
from insegan_ros.nodes.cameras import scales
from insegan_ros.nodes.diagnostics import diagnostics
from insegan_ros.nodes.lifecycle import main_of
from insegan_ros.nodes.parameters import Parameter, declare, values
from insegan_ros.nodes.segmenter_report import SegmenterReport
from insegan_ros.nodes.worker import NewestWorker
from insegan_ros.types import DepthFrame, Segmentation, Segmenter

PARAMETERS = (
    Parameter('method', 'kmeans', f'without a model: {", ".join(baselines.METHODS)}'),
    Parameter(
        'model',
        '',
        'a trained model, by name or folder, or any:<length of the part in metres>; empty: '
        'the method',
    ),
    Parameter('instances', 0, 'parts in the bin; 0: estimated in each frame', 0, 255),
    Parameter('bin_file', '', 'from `insegan calibrate`; empty: the bin is found in the frames'),
    Parameter(
        'pose_seconds',
        0.2,
        "a frame's, for 6-DoF poses of a model with a template, while ~/poses or a rendered "
        'topic is heard, 0: rough poses; and for an InSeGAN model to refine what it found',
        0.0,
        60.0,
    ),
    Parameter('device', 'auto', 'where a model runs: auto, cpu or cuda[:index]'),
    Parameter('depth_unit', 0.0, 'metres a unit of the images; 0: 16-bit mm, float m', 0.0, 1.0),
    Parameter('continuous', True, 'segment every frame; false: only on a call of ~/segment'),
    Parameter('reliable', False, 'ask the camera for reliable delivery instead of best effort'),
    Parameter('slop', 0.02, 'seconds that image and camera_info may be apart', 0.001, 1.0),
)
LIVE = ('method', 'model', 'instances', 'bin_file', 'device')  # these build a new segmenter
FIXED = ('reliable', 'slop')  # only while unconfigured
WARN_S = 5.0  # between two of the same warning
SILENT_S = 2.0  # without a usable pair before it is said why
REPORT_S = 1.0  # between two messages on /diagnostics


def make_segmenter(given: dict) -> Segmenter:
    """The method or model that the parameters ask for.

    Raises:
        ValueError: no such method or model, or a bin file that cannot be read.
    """
    bin = load_bin(Path(given['bin_file']).expanduser()) if given['bin_file'] else None
    if given['model']:
        from insegan_ros.inference import model_card  # torch: seconds and 200 MB

        return model_card.load_segmenter(given['model'], given['device'], bin)
    return baselines.make(given['method'], given['instances'] or None, bin)


class SegmenterNode(LifecycleNode):
    """The node; a method or model does the work in a thread of its own."""

    def __init__(self, make: Callable[[dict], Segmenter] = make_segmenter) -> None:
        super().__init__('segmenter')
        declare(self, PARAMETERS)
        self._make = make
        self._segmenter: Segmenter | None = None
        self._given: dict = {}
        self._busy = threading.Lock()  # one frame at a time: the worker's, or a trigger's
        self.add_on_set_parameters_callback(self._check_parameters)

    # --- life cycle ----------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters and build what they ask for; a failure says why in the log."""
        given = values(self, PARAMETERS)
        try:
            self._segmenter = self._make(given)
        except (ValueError, OSError) as error:
            self.get_logger().error(str(error))
            return TransitionCallbackReturn.FAILURE
        self._given = given
        self._newest: tuple[Image, CameraInfo] | None = None
        self._progress = SegmenterReport()
        output = partial(self.create_lifecycle_publisher, qos_profile=QoSProfile(depth=1))
        self._outputs = {  # publisher: (frame, segmentation, header) -> message
            output(Image, '~/label_image'): lambda _, s, h: messages.label_image(s, h),
            output(Image, '~/instance_masks'): lambda _, s, h: messages.instance_masks(s, h),
            output(Image, '~/instance_depths'): lambda _, s, h: messages.instance_depths(s, h),
            output(Image, '~/rendered_depth'): lambda _, s, h: messages.rendered_depth(s, h),
            output(PointCloud2, '~/points'): messages.points,
            output(PoseArray, '~/poses'): lambda _, s, h: messages.poses(s, h),
            output(Image, '~/overlay'): messages.overlay,
        }
        whole = ('~/poses', '~/instance_depths', '~/rendered_depth')
        names = [self.resolve_topic_name(name) for name in whole]
        self._posed = [output for output in self._outputs if output.topic_name in names]
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 10)
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to work."""
        done = super().on_activate(state)
        self._worker = NewestWorker(self._segment_pair)
        reliability = QoSReliabilityPolicy.BEST_EFFORT
        if self._given['reliable']:
            reliability = QoSReliabilityPolicy.RELIABLE
        newest = QoSProfile(depth=1, reliability=reliability)
        image = message_filters.Subscriber(self, Image, 'depth/image', qos_profile=newest)
        info = message_filters.Subscriber(
            self, CameraInfo, 'depth/camera_info', qos_profile=newest
        )
        image.registerCallback(self._count_image)
        both = message_filters.ApproximateTimeSynchronizer([image, info], 4, self._given['slop'])
        both.registerCallback(self._store)
        self._queues = both.queues  # per input, stamp: message
        self._image_stamp = 0
        self._inputs = [image.sub, info.sub]
        self._service = self.create_service(Trigger, '~/segment', self._segment_once)
        self._timer = self.create_timer(REPORT_S, self._report)
        return done

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop working; the settings stay."""
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give everything back; parameters can be changed again."""
        self._destroy_outputs()
        self._segmenter = None  # parameters are free again
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop, and give everything back."""
        self._stop()
        return super().on_shutdown(state)

    def _stop(self) -> None:
        if (worker := getattr(self, '_worker', None)) is None:
            return
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        self.destroy_service(self._service)
        self.destroy_timer(self._timer)
        worker.close()
        self._worker = None

    def _destroy_outputs(self) -> None:
        for publisher in self._outputs:
            self.destroy_lifecycle_publisher(publisher)
        self.destroy_publisher(self._diagnostics)

    # --- parameters ----------------------------------------------------------------------------

    def _check_parameters(self, changed: list[Changed]) -> SetParametersResult:
        """Refuse what cannot be; take what can at once, where that is sensible."""
        if self._segmenter is None:  # on_configure says what is wrong
            return SetParametersResult(successful=True)
        given = self._given | {p.name: p.value for p in changed if p.name in self._given}
        for name in FIXED:
            if given[name] != self._given[name]:
                reason = f'{name} can only be changed while the node is unconfigured'
                return SetParametersResult(successful=False, reason=reason)
        if any(given[name] != self._given[name] for name in LIVE):
            try:
                segmenter = self._make(given)
            except (ValueError, OSError) as error:
                return SetParametersResult(successful=False, reason=str(error))
            with self._busy:
                self._segmenter = segmenter
        self._given = given
        return SetParametersResult(successful=True)

    # --- frames --------------------------------------------------------------------------------

    def _count_image(self, image: Image) -> None:
        self._progress.images += 1
        stamp = stamp_ns(image.header)
        if stamp < self._image_stamp:  # a clock was set: what waits for its pair blocks others
            for queue in self._queues:
                for key in [k for k, m in queue.items() if stamp_ns(m.header) > stamp]:
                    del queue[key]
        self._image_stamp = stamp

    def _store(self, image: Image, info: CameraInfo) -> None:
        self._progress.pairs += 1
        self._newest = (image, info)
        if self._given['continuous']:
            self._worker.offer(self._newest)

    def _segment_pair(self, pair: tuple[Image, CameraInfo]) -> None:
        """In the worker's thread; whatever a frame holds, the next one finds the node alive."""
        if any(publisher.get_subscription_count() for publisher in self._outputs):
            self._segment(pair)
        else:
            self._progress.unheard += 1

    def _segment(self, pair: tuple[Image, CameraInfo]) -> Segmentation | None:
        suspicion = None
        try:
            frame = frame_from_messages(*pair, **scales(self._given['depth_unit']))
            if suspicion := suspicious_depth(frame.depth_m):
                self.get_logger().warning(suspicion, throttle_duration_sec=WARN_S)
                self._progress.last_error = suspicion
            with self._busy:
                found = self._segmenter.segment(
                    frame,
                    pose_seconds=self._pose_seconds(),
                    refine_seconds=self._given['pose_seconds'],
                )
            self._publish(frame, found, pair[0])
        except Exception as error:  # a frame must not end the node, whatever the method raises
            reason = f'{type(error).__name__}: {error}'
            # depth that cannot be is the likelier cause of what the method then ran into
            self._progress.last_error = f'{suspicion} ({reason})' if suspicion else reason
            self.get_logger().error(reason, throttle_duration_sec=WARN_S)
            self._progress.failed += 1
            return None
        self._progress.done(self.get_clock().now().nanoseconds - frame.stamp_ns)
        return found

    def _pose_seconds(self) -> float:
        """Poses take longer than masks: none are made for topics that nobody hears."""
        heard = any(publisher.get_subscription_count() for publisher in self._posed)
        return self._given['pose_seconds'] if heard else 0.0

    def _publish(self, frame: DepthFrame, found: Segmentation, image: Image) -> None:
        for publisher, to_message in self._outputs.items():
            if publisher.get_subscription_count():
                publisher.publish(to_message(frame, found, image.header))

    def _segment_once(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """~/segment: the newest frame, whether or not `continuous`."""
        if self._newest is None:
            response.message = f'no frame yet: {self._why_silent()}'
            return response
        found = self._segment(self._newest)
        response.success = found is not None
        response.message = (
            self._progress.last_error if found is None else f'{found.count} instances'
        )
        return response

    # --- what is said --------------------------------------------------------------------------

    def _why_silent(self) -> str:
        topics = [subscription.topic_name for subscription in self._inputs]
        if not self._progress.images_arrive:
            return f'nothing arrives on {topics[0]}'
        if not self.count_publishers(topics[1]):
            return f'images arrive on {topics[0]} but nobody publishes {topics[1]}'
        return (
            f'images arrive on {topics[0]} but no camera_info on {topics[1]} within '
            f'{self._given["slop"]} s of them'
        )

    def _report(self) -> None:
        progress, silent = self._progress, ''
        if progress.silence() > SILENT_S:
            silent = self._why_silent()
            self.get_logger().warning(silent, throttle_duration_sec=WARN_S)
        progress.look()
        figures = progress.figures(self._given, self._worker.dropped if self._worker else 0)
        level = DiagnosticStatus.WARN if silent else DiagnosticStatus.OK
        message = silent or f'{progress.rate:.1f} Hz'
        self._diagnostics.publish(
            diagnostics(self, 'segmentation', message, values=figures, level=level)
        )


main = main_of(SegmenterNode)

if __name__ == '__main__':
    main()
