"""Listens to the camera and the segmenter as a user's program would, and keeps score."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import QoSProfile, QoSReliabilityPolicy
from scipy.optimize import linear_sum_assignment
from sensor_msgs.msg import Image

from insegan_ros.data.depth_messages import stamp_ns
from insegan_ros.demos.demo_picture import Snapshot
from insegan_ros.evaluation.metrics import iou_matrix, paper_miou, strict_miou

KEPT_FRAMES = 60  # two seconds at 30 Hz: later results find no input to stand beside
TYPES = {'16UC1': '<u2', 'mono16': '<u2', 'mono8': 'u1', '32FC1': '<f4'}


class DemoRecorder(Node):
    """Counts frames and results, takes snapshots, remembers labels to be compared with truth."""

    def __init__(self, camera_name: str) -> None:
        super().__init__('demo_recorder')
        self.camera_name = camera_name
        self.received = 0
        self.segmented = 0
        self.snapshots: list[Snapshot] = []
        self._wanted = 0
        self._instances: Any = None  # subscription of the moment that a snapshot is taken
        self._latencies: list[float] = []
        self._depth: OrderedDict[int, Image] = OrderedDict()
        self._truth: OrderedDict[int, NDArray[np.uint16]] = OrderedDict()
        self._labels: OrderedDict[int, NDArray[np.uint16]] = OrderedDict()
        self._pairs: list[tuple[bytes, NDArray[np.uint16]]] = []
        self._status: dict[str, dict[str, str]] = {}
        newest = QoSProfile(depth=1)
        # best effort as the segmenter's, but patient: what is missed here shall be the transport's
        sensor = QoSProfile(depth=KEPT_FRAMES, reliability=QoSReliabilityPolicy.BEST_EFFORT)
        self.create_subscription(Image, 'depth/image', self._on_depth, sensor)
        self.create_subscription(Image, f'{camera_name}/true_labels', self._on_truth, sensor)
        self.create_subscription(Image, 'segmenter/label_image', self._on_labels, newest)
        self.create_subscription(DiagnosticArray, '/diagnostics', self._on_status, 10)

    def connected(self) -> bool:
        """Both the segmenter and this node listen to the camera, and this node to both."""
        return (
            self.count_subscribers('depth/image') >= 2
            and self.count_subscribers('depth/camera_info') >= 1
            and self.count_publishers('depth/image') >= 1
            and self.count_publishers('segmenter/label_image') >= 1
        )

    def want_snapshots(self, count: int) -> None:
        """Take snapshots until there are `count`; only meanwhile instances are asked for."""
        self._wanted = count
        wanting = len(self.snapshots) < self._wanted
        if wanting and self._instances is None:
            topic, qos = 'segmenter/instance_depths', QoSProfile(depth=1)
            self._instances = self.create_subscription(Image, topic, self._on_instances, qos)
        elif not wanting and self._instances is not None:
            self.destroy_subscription(self._instances)
            self._instances = None

    def _on_depth(self, message: Image) -> None:
        self.received += 1
        remember(self._depth, stamp_ns(message.header), message)

    def _on_truth(self, message: Image) -> None:
        remember(self._truth, stamp_ns(message.header), pixels(message))

    def _on_labels(self, message: Image) -> None:
        stamp = stamp_ns(message.header)
        self.segmented += 1
        self._latencies.append(self.get_clock().now().nanoseconds - stamp)
        labels = pixels(message)
        remember(self._labels, stamp, labels)
        if stamp in self._truth:
            self._pairs.append((zlib.compress(labels.tobytes(), 1), self._truth[stamp]))

    def _on_instances(self, message: Image) -> None:
        stamp = stamp_ns(message.header)
        if len(self.snapshots) >= self._wanted or stamp not in self._depth:
            return
        if stamp not in self._labels:
            return
        depth = pixels(self._depth[stamp])
        if any(np.array_equal(depth, snapshot.depth) for snapshot in self.snapshots):
            return  # a short recording in a loop: another of its frames will come
        count = message.step // (4 * message.width) if message.width else 0
        flat = np.frombuffer(message.data, '<f4')
        rendered = flat.reshape(message.height, message.width, count)
        labels, truth = self._labels[stamp], self._truth.get(stamp)
        if truth is not None:
            truth = named_alike(truth, labels)
        instances = np.moveaxis(rendered, -1, 0)  # (N, H, W)
        self.snapshots.append(Snapshot(depth, labels, instances, truth))

    def _on_status(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values = {pair.key: pair.value for pair in status.values}
            self._status.setdefault(status.name.split(':')[0].strip('/ '), {}).update(values)

    def result(self) -> dict[str, Any]:
        """The table: counts from the nodes' own /diagnostics, the rest as seen from here."""
        camera = self._status.get(self.camera_name, {})
        segmenter = self._status.get('segmenter', {})
        latency = np.asarray(self._latencies) / 1e6
        pairs = [
            (np.frombuffer(zlib.decompress(labels), truth.dtype).reshape(truth.shape), truth)
            for labels, truth in self._pairs
        ]
        return {
            'method': segmenter.get('method'),
            'device': segmenter.get('device'),
            'sent': as_int(camera.get('sent')),
            'arrived at the demo': self.received,
            'received': as_int(segmenter.get('received')),
            'segmented': self.segmented,
            'dropped': as_int(segmenter.get('dropped')),
            'latency p50 ms': percentile(latency, 50),
            'latency p95 ms': percentile(latency, 95),
            'mean IoU': mean([strict_miou(*pair) for pair in pairs]),
            "mean IoU, the paper's way": mean([paper_miou(*pair) for pair in pairs]),
        }


def named_alike(truth: NDArray[np.uint16], labels: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Truth renumbered: an instance has the number of the result that fits it best, for colours.

    What was not found gets the numbers after those of the results.
    """
    ids = np.unique(truth[truth > 0])
    found = np.unique(labels[labels > 0])
    rows, columns = linear_sum_assignment(-iou_matrix(labels, truth))
    names = dict(zip(ids[columns].tolist(), found[rows].tolist()))
    after = int(labels.max(initial=0))
    out = np.zeros_like(truth)
    for number in ids.tolist():
        if number not in names:
            after += 1
        out[truth == number] = names.get(number, after)
    return out


def remember(kept: OrderedDict[int, Any], stamp: int, value: Any) -> None:
    """Keep a value by its stamp, and drop the oldest of too many."""
    kept[stamp] = value
    if len(kept) > KEPT_FRAMES:
        kept.popitem(last=False)


def pixels(message: Image) -> NDArray[Any]:
    """(H, W) view of a single-channel image without row padding, as this package publishes."""
    return np.frombuffer(message.data, TYPES[message.encoding]).reshape(
        message.height, message.width
    )


def percentile(values: NDArray[np.float64], share: float) -> float | None:
    """A percentile, rounded; None without values."""
    return round(float(np.percentile(values, share)), 1) if len(values) else None


def mean(values: list[float]) -> float | None:
    """The mean of the finite values, rounded; None where there are none."""
    known = [value for value in values if np.isfinite(value)]  # NaN: an empty bin
    return round(float(np.mean(known)), 3) if known else None


def as_int(text: str | None) -> int | None:
    """A count that was published as text; None where it is absent."""
    return int(float(text)) if text else None
