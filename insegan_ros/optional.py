"""Libraries that only some of the package needs: imported where they are, named where they lack.

Nodes and inference do without all of them. setup.py lists them as extras.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager

# module: what `pip install` calls it
PIP_NAMES = {
    'backports': 'backports.zstd',
    'cascadio': 'cascadio',
    'coacd': 'coacd',
    'embreex': 'embreex',
    'google': 'tensorboard',  # protobuf, which TensorBoard brings
    'lz4': 'lz4',
    'manifold3d': 'manifold3d',
    'maxflow': 'PyMaxflow',
    'mujoco': 'mujoco',
    'pycocotools': 'pycocotools',
    'rerun': 'rerun-sdk',
    'rosbags': 'rosbags',
    'tensorboard': 'tensorboard',
    'threadpoolctl': 'threadpoolctl',
    'trimesh': 'trimesh',
}

SIMULATION = ('embreex', 'manifold3d', 'mujoco', 'trimesh')  # modules
BESIDE_APT = (
    '(the Python of Ubuntu 24.04 and Debian 12 or later wants --break-system-packages as well, or '
    'a virtual environment made with --system-site-packages)'
)


class MissingLibraryError(ImportError, ValueError):
    """A library that is not installed: what needs it, and how to get it.

    It is a ValueError, too: what asked for the library is a method, a part or a file that somebody
    chose, and that cannot be had here.
    """


@contextmanager
def needed_for(purpose: str) -> Iterator[None]:
    """Say, around an import, what the library is needed for.

    As in `with needed_for('the method graph_cut'): from maxflow import fastmin`.

    Raises:
        MissingLibraryError: the library is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or '').split('.')[0]
        if module not in PIP_NAMES:
            raise
        name = PIP_NAMES[module]
        raise MissingLibraryError(
            f'{purpose} needs {name}, which is not installed: pip install {name} {BESIDE_APT}'
        ) from None


def require_installed(purpose: str, modules: tuple[str, ...]) -> None:
    """Look for libraries without importing them, before anything is started.

    Raises:
        MissingLibraryError: some are not installed; the one command that brings them all.
    """
    absent = [PIP_NAMES[module] for module in modules if importlib.util.find_spec(module) is None]
    if absent:
        raise MissingLibraryError(
            f'{purpose} needs {" and ".join(absent)}, not installed here: '
            f'pip install {" ".join(absent)} {BESIDE_APT}'
        )
