# ROS 2 Jazzy with this package. From the package's folder:
#   docker build -f docker/jazzy.Dockerfile -t insegan_ros .
#   docker run --rm --net host --ipc host insegan_ros ros2 launch insegan_ros segment.launch.py camera:=none
FROM ros:jazzy
# rosdep's pip packages lie beside apt's (PEP 668)
ENV PIP_BREAK_SYSTEM_PACKAGES=1
WORKDIR /ws
COPY . src/insegan_ros
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-pip \
    && rosdep update --rosdistro jazzy \
    && rosdep install --from-paths src --ignore-src -y \
    && rm -rf /var/lib/apt/lists/*
RUN . /opt/ros/jazzy/setup.sh && colcon build
ENTRYPOINT ["bash", "-c", ". /opt/ros/jazzy/setup.bash && . /ws/install/setup.bash && exec \"$@\"", "--"]
CMD ["ros2", "launch", "insegan_ros", "segment.launch.py", "camera:=none"]
