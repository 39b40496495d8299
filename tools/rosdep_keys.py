"""What rosdep will install for this package, from a copy of rosdistro's files.

    python tools/rosdep_keys.py ROSDISTRO [--distro humble ...]

ROSDISTRO is a folder with rosdistro's rosdep/*.yaml and <distro>/distribution.yaml. Prints, for
each distribution, what every key of package.xml stands for; fails where one stands for nothing.
"""

from __future__ import annotations

import argparse
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path

import yaml

PACKAGE = Path(__file__).parents[1] / 'package.xml'
UBUNTU = {'humble': 'jammy', 'jazzy': 'noble', 'kilted': 'noble', 'lyrical': 'resolute'}


def keys(package: Path = PACKAGE) -> list[str]:
    """What package.xml depends on, whatever for."""
    root = ElementTree.parse(package).getroot()
    return sorted({str(e.text).strip() for e in root if e.tag.endswith('depend')})


def ros_packages(distribution: Mapping) -> set[str]:
    """The packages that a distribution.yaml has released."""
    found: set[str] = set()
    for name, repository in distribution['repositories'].items():
        release = repository.get('release', {})
        if 'version' in release:
            found.update(release.get('packages', [name]))
    return found


def system_packages(rule: Mapping | None, codename: str) -> list[str]:
    """What a rosdep rule installs on an Ubuntu; nothing: it does not."""
    found: object = (rule or {}).get('ubuntu', (rule or {}).get('*'))
    if isinstance(found, Mapping) and not {'apt', 'pip'} & found.keys():
        found = found.get(codename, found.get('*'))
    if isinstance(found, list):
        return [f'apt {name}' for name in found]
    if isinstance(found, str):
        return [f'apt {name}' for name in found.split()]
    if isinstance(found, Mapping):
        return [
            f'{tool} {name}'
            for tool, options in found.items()
            for name in (options['packages'] if isinstance(options, Mapping) else options)
        ]
    return []


def resolve(rosdistro: Path, distro: str) -> dict[str, list[str]]:
    """What each key of package.xml installs under a ROS distribution."""
    rules: dict = {}
    for name in ('base.yaml', 'python.yaml'):
        rules |= yaml.safe_load((rosdistro / 'rosdep' / name).read_text())
    released = ros_packages(yaml.safe_load((rosdistro / distro / 'distribution.yaml').read_text()))
    return {
        key: [f'apt ros-{distro}-{key.replace("_", "-")}']
        if key in released
        else system_packages(rules.get(key), UBUNTU[distro])
        for key in keys()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('rosdistro', type=Path)
    parser.add_argument('--distro', nargs='+', choices=list(UBUNTU), default=list(UBUNTU))
    args = parser.parse_args()
    failed = False
    for distro in args.distro:
        print(f'{distro} (Ubuntu {UBUNTU[distro]})')
        for key, found in resolve(args.rosdistro, distro).items():
            print(f'  {key:28} {", ".join(found) or "STANDS FOR NOTHING"}')
            failed |= not found
    return int(failed)


if __name__ == '__main__':
    sys.exit(main())
