"""Where a gripper may take hold: a frame and its instances become picks. No ROS, no torch."""
