"""Stand-in for ROS 2's cv_bridge: CvBridge.cv2_to_imgmsg for arrays as they are."""

import sys
from array import array

import numpy as np
from sensor_msgs.msg import Image

DEPTHS = {
    'uint8': '8U',
    'int8': '8S',
    'uint16': '16U',
    'int16': '16S',
    'int32': '32S',
    'float32': '32F',
    'float64': '64F',
}
NAMED = {
    'mono8': '8UC1',
    'mono16': '16UC1',
    'rgb8': '8UC3',
    'bgr8': '8UC3',
    'rgba8': '8UC4',
    'bgra8': '8UC4',
}


class CvBridgeError(TypeError):
    """An image and an encoding that do not go together."""


class CvBridge:
    """Between OpenCV's images and ROS messages."""

    def cv2_to_imgmsg(self, cvim, encoding='passthrough', header=None):
        """(H, W) or (H, W, C) array -> sensor_msgs/Image of that encoding, unconverted.

        Raises:
            CvBridgeError: the array's type and channels are not the encoding's.
        """
        if not isinstance(cvim, np.ndarray) or cvim.ndim not in (2, 3):
            raise TypeError('Your input type is not a numpy array')
        channels = 1 if cvim.ndim == 2 else cvim.shape[2]
        own = f'{DEPTHS[cvim.dtype.name]}C{channels}'
        if encoding == 'passthrough':
            encoding = own
        elif NAMED.get(encoding, encoding) != own:
            raise CvBridgeError(f'encoding specified as {encoding}, but image has type {own}')
        message = Image(height=cvim.shape[0], width=cvim.shape[1], encoding=encoding)
        if header is not None:
            message.header = header
        message.is_bigendian = int(sys.byteorder == 'big')
        message.step = cvim.shape[1] * channels * cvim.dtype.itemsize
        # rclpy takes an array('B') as it is; bytes would be checked one by one
        message.data = array('B', np.ascontiguousarray(cvim).tobytes())
        return message
