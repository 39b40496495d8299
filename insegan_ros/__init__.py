"""Unsupervised instance segmentation of identical parts in depth images, for ROS 2."""

import os

# OpenMP's threads spin while they wait for each other; where other processes need the cores (a
# camera driver, a planner) each waits for threads that do not run. Read when torch is loaded.
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')

__version__ = '0.1.0'
