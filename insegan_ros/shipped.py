"""What comes with the package beside its code: models, grippers, settings."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path


def shipped(folder: str, package: Path | None = None) -> tuple[Path, ...]:
    """Where a folder that comes with the package may be, the likeliest place first.

    In a checkout it lies beside the package. An installation has it in `share`, under the prefix
    whose `lib` holds the package: how deep differs between colcon, a wheel, a user's own folder
    and Debian's dist-packages. A link leads to the sources (colcon --symlink-install).

    Args:
        folder: its name in the sources, such as models or config/grippers.
        package: the folder of the package; None: this one.
    """
    package = package or Path(__file__).parent
    file = package / Path(__file__).name
    sources = [path.parents[1] / folder for path in (file, file.resolve())]
    prefixes = [
        *package.parents,
        Path(sysconfig.get_path('data')),
        *map(Path, filter(None, os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep))),
    ]
    shares = [prefix / 'share' / 'insegan_ros' / folder for prefix in prefixes]
    return tuple(dict.fromkeys([*sources, *shares]))
