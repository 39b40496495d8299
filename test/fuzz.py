"""Fuzz the readers with Atheris, which looks for bytes that reach code not reached before.

Any error but a ValueError with words is a fault; its bytes are kept as crash-* in --out. The tests
in test/data damage files at random, without Atheris (pip install atheris: 3.0.0 has wheels for
Python 3.11, 3.1.0 for 3.12 to 3.14).

    python test/fuzz.py                                  each reader for a minute
    python test/fuzz.py .npy .exr bag --seconds 600
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / 'data')]
READERS = (
    *('.png', '.tiff', '.pgm', '.npy', '.npz', '.exr', '.ply', '.pcd'),  # depth
    *('mcap', 'db3', 'bag', 'bag_lz4', '.rvl'),
    *('.yaml', '.json', 'coco', 'labelme', 'bin', '.stl', '.obj', '.off', '.glb'),
)
MOST_BYTES, MOST_MB, MOST_S = 50_000, 2048, 20


def seed(name: str) -> bytes:
    """A file that is whole."""
    import cloud_writer
    import test_fuzz
    import test_fuzz_files
    import trimesh

    points = cloud_writer.points_of(cloud_writer.bin_depth())
    made = {
        '.ply': lambda: cloud_writer.ply(points),
        '.pcd': lambda: cloud_writer.pcd(points),
        '.rvl': lambda: b'\x10\0\0\0\x0c\0\0\0' + bytes(64),
        '.yaml': cloud_writer.CAMERA_YAML.encode,
        '.json': lambda: b'{"width": 16, "height": 12, "K": [40, 0, 8, 0, 40, 6, 0, 0, 1]}',
        'coco': lambda: json.dumps(test_fuzz_files.COCO).encode(),
        'labelme': lambda: json.dumps(test_fuzz_files.LABELME).encode(),
        'bin': lambda: b'floor: {normal: [0, 0, -1], offset: 0.6}\nregion: [1, 2, 9, 8]\n',
    }
    if name in made:
        return made[name]()
    if name in ('.stl', '.obj', '.off', '.glb'):
        content = trimesh.creation.box((0.1, 0.2, 0.3)).export(file_type=name[1:])
        return content if isinstance(content, bytes) else content.encode()
    return test_fuzz_files.image(name) if name[0] == '.' else test_fuzz.recording(name)


def read(name: str, file: Path) -> None:
    """Read the file as users' files of this kind are read."""
    from damage import read_all

    from insegan_ros.data import annotations, camera_files, images, meshes, rvl
    from insegan_ros.parts_bin import load_bin

    if name == '.rvl':
        rvl.decode_rvl(file.read_bytes())
    elif name in ('.yaml', '.json'):
        camera_files.read_camera_file(file, '000001')
    elif name in ('coco', 'labelme'):
        annotations.read_annotations(file)
    elif name == 'bin':
        load_bin(file)
    elif name in ('.stl', '.obj', '.off', '.glb'):
        meshes.read_mesh(file)
    elif name in images.DECODERS:
        images.read_depth_values(file)
    else:
        read_all(file)


def fuzz(name: str, seconds: int, out: Path) -> None:
    """In this process, which Atheris ends."""
    import atheris

    with atheris.instrument_imports(include=['insegan_ros']):
        from insegan_ros.data import annotations, camera_files, images, meshes, rvl  # noqa: F401
    corpus = out / name.strip('.')
    corpus.mkdir(parents=True, exist_ok=True)
    (corpus / 'whole').write_bytes(seed(name))
    folder = Path(tempfile.mkdtemp(prefix='fuzz'))  # the process ends without a clean-up
    file = folder / f'x{name if name[0] == "." else ""}'

    def once(content: bytes) -> None:
        file.write_bytes(content)
        try:
            read(name, file)
        except ValueError as error:
            if not str(error):
                raise

    bounds = [f'-max_total_time={seconds}', f'-max_len={MOST_BYTES}', f'-timeout={MOST_S}']
    bounds += [f'-rss_limit_mb={MOST_MB}', f'-artifact_prefix={out}/{name.strip(".")}.']
    atheris.Setup([sys.argv[0], *bounds, '-print_final_stats=1', str(corpus)], once)
    atheris.Fuzz()


def main() -> int:
    """0: no fault; 1: at least one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('readers', nargs='*', metavar='READER', help=f'of {" ".join(READERS)}')
    parser.add_argument('--seconds', type=int, default=60, help='for each reader (60)')
    parser.add_argument('--out', type=Path, default=Path('runs/fuzz'), help='what was tried')
    parser.add_argument('--here', action='store_true', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if unknown := set(args.readers) - set(READERS):
        parser.error(f'no reader {", ".join(unknown)}; there are {" ".join(READERS)}')
    if args.here:
        fuzz(args.readers[0], args.seconds, args.out)
    faults = []
    for name in args.readers or READERS:
        command = [sys.executable, __file__, name, '--here', '--seconds', str(args.seconds)]
        ended = subprocess.run(
            [*command, '--out', str(args.out)], capture_output=True, text=True, errors='replace'
        )
        told = ended.stdout + ended.stderr
        runs = told.split('number_of_executed_units:')[-1].split()
        print(f'{name}: {runs[0] if runs else "?"} runs, exit code {ended.returncode}', flush=True)
        if ended.returncode:
            faults.append(name)
            (args.out / f'{name.strip(".")}.log').write_text(told)
            print('\n'.join(told.strip().splitlines()[-25:]), flush=True)
    print(f'faults: {", ".join(faults) or "none"}')
    return int(bool(faults))


if __name__ == '__main__':
    sys.exit(main())
