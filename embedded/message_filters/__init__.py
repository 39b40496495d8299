"""Stand-in for ROS 2's message_filters: Subscriber and ApproximateTimeSynchronizer."""

import threading


class SimpleFilter:
    """Passes messages to the callbacks registered with it."""

    def __init__(self):
        self.callbacks = {}

    def registerCallback(self, cb, *args):
        """Call cb(message, *args) for every message; the returned number identifies it."""
        connection = len(self.callbacks)
        self.callbacks[connection] = (cb, args)
        return connection

    def signalMessage(self, *msg):
        for cb, args in self.callbacks.values():
            cb(*(msg + args))


class Subscriber(SimpleFilter):
    """A subscription as a filter: Subscriber(node, type, topic, qos_profile=10)."""

    def __init__(self, node, msg_type, topic, qos_profile=10, **kwargs):
        super().__init__()
        self.node, self.topic = node, topic
        self.sub = node.create_subscription(
            msg_type, topic, self.callback, qos_profile=qos_profile, **kwargs
        )

    def callback(self, msg):
        self.signalMessage(msg)

    def getTopic(self):
        return self.topic


class ApproximateTimeSynchronizer(SimpleFilter):
    """Passes on sets of messages, one from each filter, of nearly the same time.

    Their stamps lie less than `slop` seconds apart: with a slop of 0 there is never a set.
    As in ROS, each queue holds the `queue_size` messages of the latest stamps, and the registered
    callbacks run with this object's lock held.
    """

    def __init__(self, fs, queue_size, slop, allow_headerless=False):
        super().__init__()
        if allow_headerless:
            raise NotImplementedError('messages without a header are not synchronised here')
        self.queue_size = queue_size
        self.slop_ns = round(slop * 1e9)
        self.queues = [{} for _ in fs]
        self.lock = threading.Lock()
        for index, f in enumerate(fs):
            f.registerCallback(self.add, index)

    def add(self, msg, index):
        stamp = msg.header.stamp.sec * 10**9 + msg.header.stamp.nanosec
        with self.lock:
            own = self.queues[index]
            own[stamp] = msg
            while len(own) > self.queue_size:
                del own[min(own)]
            chosen = []
            for queue in self.queues:
                near = min(queue, key=lambda other: abs(other - stamp), default=None)
                if near is None or abs(near - stamp) >= self.slop_ns:
                    return
                chosen.append(near)
            messages = [queue.pop(key) for queue, key in zip(self.queues, chosen)]
            self.signalMessage(*messages)
