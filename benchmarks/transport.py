"""Depth images between two processes: how many arrive, with config/fastdds.xml and without.

Sends 848 x 480 16UC1 frames with sensor-data QoS from one process to another at several rates and
prints a table. A frame counts from the moment that both ends see each other.

    make bench
    python benchmarks/transport.py --seconds 10 --rates 30 60 90
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from array import array
from pathlib import Path

import numpy as np

PROFILE = Path(__file__).parents[1] / 'config' / 'fastdds.xml'
WIDTH, HEIGHT = 848, 480


def send(rate: float, seconds: float) -> dict[str, float]:
    """Publish at `rate` once a subscriber is there; return how many frames went out."""
    import rclpy
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image

    node = rclpy.create_node('transport_sender')
    publisher = node.create_publisher(Image, 'transport/image', qos_profile_sensor_data)
    message = Image(width=WIDTH, height=HEIGHT, encoding='16UC1', step=2 * WIDTH)
    message.data = array('B', bytes(2 * WIDTH * HEIGHT))
    deadline = time.monotonic() + 20
    while not publisher.get_subscription_count() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)  # the subscriber's end of the handshake
    start, sent = time.monotonic(), 0
    while time.monotonic() - start < seconds:
        message.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(message)
        sent += 1
        time.sleep(max(0.0, start + sent / rate - time.monotonic()))
    elapsed = time.monotonic() - start
    time.sleep(0.5)
    return {'sent': sent, 'rate': sent / elapsed}


def receive(until: float) -> dict[str, float]:
    """Count frames until none came for `until` seconds; latency from stamp to callback."""
    import rclpy
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image

    node = rclpy.create_node('transport_receiver')
    latencies: list[float] = []
    last = time.monotonic() + 20

    def on_image(message: Image) -> None:
        nonlocal last
        stamp = message.header.stamp.sec + message.header.stamp.nanosec * 1e-9
        latencies.append(node.get_clock().now().nanoseconds * 1e-9 - stamp)
        last = time.monotonic()

    node.create_subscription(Image, 'transport/image', on_image, qos_profile_sensor_data)
    while time.monotonic() < last + until:
        rclpy.spin_once(node, timeout_sec=0.2)
    p50, p99 = np.percentile(latencies, [50, 99]) * 1e3 if latencies else (np.nan, np.nan)
    return {'received': len(latencies), 'p50_ms': p50, 'p99_ms': p99}


def measure(rate: float, seconds: float, with_profile: bool) -> dict[str, float]:
    """Run both ends as processes and join what they report."""
    environment = os.environ | {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}
    for name in ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE'):
        environment.pop(name, None)
        if with_profile:
            environment[name] = str(PROFILE)
    ends = [
        subprocess.Popen(
            [sys.executable, __file__, '--end', end, '--rates', str(rate), '--seconds', seconds_],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for end, seconds_ in (('receive', '2'), ('send', str(seconds)))
    ]
    results: dict[str, float] = {}
    for process in reversed(ends):
        output, _ = process.communicate(timeout=seconds + 60)
        if process.returncode:
            raise RuntimeError(f'{" ".join(map(str, process.args))} failed')
        results |= json.loads(output.splitlines()[-1])
    return results


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--rates', type=float, nargs='+', default=[30, 60, 90], help='Hz')
    parser.add_argument('--seconds', type=float, default=8, help='a measurement (default: 8)')
    parser.add_argument('--end', choices=['send', 'receive'], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.end:
        import rclpy

        rclpy.init()
        if args.end == 'send':
            print(json.dumps(send(args.rates[0], args.seconds)))
        else:
            print(json.dumps(receive(args.seconds)))
        rclpy.shutdown()
        return 0
    print(f'{WIDTH} x {HEIGHT} 16UC1, {args.seconds:g} s each, latency from stamp to callback')
    print('| profile | asked Hz | sent Hz | sent | received | arrived | p50 ms | p99 ms |')
    print('|---|---|---|---|---|---|---|---|')
    for with_profile in (False, True):
        for rate in args.rates:
            r = measure(rate, args.seconds, with_profile)
            name = PROFILE.name if with_profile else 'none'
            print(
                f'| {name} | {rate:g} | {r["rate"]:.1f} | {r["sent"]:.0f} | {r["received"]:.0f} '
                f'| {r["received"] / r["sent"]:.1%} | {r["p50_ms"]:.1f} | {r["p99_ms"]:.1f} |',
                flush=True,
            )
    return 0


if __name__ == '__main__':
    sys.exit(main())
