"""Run every run.sh below a folder and say which of them fail.

A case is a folder with a run.sh, which exits 0 when the program does as a user expects, and the
files that it needs. INSEGAN and PYTHON in its environment say what is run. Cases are not part of
this repository; its own tests of the same kinds are those in test/.

    python test/run_cases.py ~/cases
    python test/run_cases.py ~/cases --only 03,15 --timeout 120
"""

from __future__ import annotations

import argparse
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path, help='in which cases lie')
    parser.add_argument('--only', default='', help="names of cases' folders, comma separated")
    parser.add_argument('--timeout', type=float, default=300.0, help='seconds for a case (300)')
    args = parser.parse_args()
    scripts = sorted(args.folder.rglob('run.sh'))
    if args.only:
        wanted = set(args.only.split(','))
        scripts = [script for script in scripts if script.parent.name in wanted]
    if not scripts:
        print(f'{args.folder} holds no case: no run.sh', file=sys.stderr)
        return 2
    failed = []
    with tempfile.TemporaryDirectory(prefix='insegan-cases-') as folder:
        environment = environment_in(Path(folder))
        for script in scripts:
            name, start = str(script.parent.relative_to(args.folder)), time.monotonic()
            problem = run_case(script, environment, args.timeout)
            word = 'ok    ' if problem is None else 'FAULT '
            print(f'{word} {name}  {time.monotonic() - start:.1f} s', flush=True)
            if problem is not None:
                failed.append(name)
                print('\n'.join(f'         {line}' for line in problem.splitlines()[-6:]))
    print(f'{len(scripts) - len(failed)} of {len(scripts)} cases hold')
    return 1 if failed else 0


def environment_in(folder: Path) -> dict[str, str]:
    """INSEGAN and PYTHON: this checkout with the Python that runs this script."""
    python = folder / 'python'
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get('PYTHONPATH')])])
    path = os.pathsep.join([path, str(ROOT / 'embedded')])
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{path}" exec "{sys.executable}" "$@"\n')
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    defaults = {'INSEGAN': f'{python} -m insegan_ros.cli', 'PYTHON': str(python)}
    return defaults | dict(os.environ)


def run_case(script: Path, environment: dict[str, str], timeout: float) -> str | None:
    """What the case says where it fails, None where it holds."""
    shell = shutil.which('bash') or 'sh'
    process = subprocess.Popen(
        [shell, str(script)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors='replace',
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        return f'not done after {timeout:g} s'
    return None if process.returncode == 0 else said or f'exit code {process.returncode}'


if __name__ == '__main__':
    sys.exit(main())
