"""The runner of cases tells those that hold from those that do not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

RUNNER = Path(__file__).with_name('run_cases.py')


def test_each_case_is_run_with_this_program_and_its_fault_is_told(tmp_path: Path) -> None:
    for name, script in (
        ('holds', '$INSEGAN --version && "$PYTHON" -c "import insegan_ros"'),
        ('kinds/fails', 'echo "FAULT: sheared"; exit 1'),
        ('hangs', 'sleep 60'),
    ):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / 'run.sh').write_text(script)
    call = [sys.executable, str(RUNNER), str(tmp_path)]
    only = subprocess.run([*call, '--only', 'holds,fails'], capture_output=True, text=True)
    assert only.returncode == 1
    assert 'ok     holds' in only.stdout
    assert 'FAULT  kinds/fails' in only.stdout
    assert 'FAULT: sheared' in only.stdout
    assert '1 of 2 cases hold' in only.stdout
    late = subprocess.run(
        [*call, '--only', 'hangs', '--timeout', '0.5'], capture_output=True, text=True
    )
    assert 'not done after 0.5 s' in late.stdout
    empty = subprocess.run([*call, '--only', 'none'], capture_output=True, text=True)
    assert empty.returncode == 2
