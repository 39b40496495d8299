"""Stand-in for ROS 2's sensor_msgs_py."""
