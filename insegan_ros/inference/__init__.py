"""DepthFrame in, Segmentation out; knows no ROS and no files but model cards."""
