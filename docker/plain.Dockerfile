# Without a ROS installation: the demo, the tests and every `insegan` command. From the package's folder:
#   docker build -f docker/plain.Dockerfile -t insegan .
#   docker run --rm --shm-size 1g insegan                      the demo; images go through /dev/shm
#   docker run --rm -v $PWD:/out insegan insegan segment --model any:0.05 --input /out/my_bin --out /out/found
FROM python:3.12-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends make libusb-1.0-0 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /insegan_ros
COPY . .
RUN make .venv/.ready
ENV PATH=/insegan_ros/.venv/bin:$PATH
CMD ["make", "demo"]
