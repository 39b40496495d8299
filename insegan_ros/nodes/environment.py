"""What the processes of nodes need in their environment; the launch files and the demos set it."""

from __future__ import annotations

import os
from pathlib import Path

OLD_DISTROS = ('humble', 'iron', 'jazzy')  # later ones warn about the second name


def node_environment(profile: Path) -> dict[str, str]:
    """Variables to be set, without those that the user has set already.

    Args:
        profile: config/fastdds.xml, where it is installed.
    """
    names = ['FASTDDS_DEFAULT_PROFILES_FILE']
    if os.environ.get('ROS_DISTRO') in OLD_DISTROS:
        names.append('FASTRTPS_DEFAULT_PROFILES_FILE')
    # whole images do not fit the shared memory of Fast DDS's own defaults
    wanted = dict.fromkeys(names, str(profile))
    # OpenMP threads that wait shall sleep, not spin: the camera's process needs the core
    wanted['OMP_WAIT_POLICY'] = 'PASSIVE'
    return {name: value for name, value in wanted.items() if name not in os.environ}
