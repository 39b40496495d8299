"""InSeGAN for ROS 2: segment identical parts in a bin from unlabelled depth images."""

__version__ = '0.1.0'
