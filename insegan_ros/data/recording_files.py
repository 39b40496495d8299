"""Which files a recording is made of, whatever they are called, and their messages in a row."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

import yaml

from insegan_ros.data.mcap_file import MAGIC as MCAP
from insegan_ros.data.mcap_file import read_mcap
from insegan_ros.data.raw_messages import (
    BZIP2,
    GZIP,
    LZ4,
    ZSTD,
    Note,
    RawMessage,
    make_decompressor,
)
from insegan_ros.data.rosbag1_file import MAGIC as ROSBAG1
from insegan_ros.data.rosbag1_file import read_rosbag1
from insegan_ros.data.sqlite_file import MAGIC as SQLITE
from insegan_ros.data.sqlite_file import read_sqlite
from insegan_ros.data.store import DatasetError
from insegan_ros.files import read_text

READERS: dict[bytes, Callable[[Path, Note], Iterator[RawMessage]]] = {
    MCAP: read_mcap,
    SQLITE: read_sqlite,
    ROSBAG1: read_rosbag1,
}
COMPRESSIONS = {ZSTD: 'zstd', LZ4: 'lz4', GZIP: 'gzip', BZIP2: 'bz2'}
NAMES = re.compile(r'\.(mcap|db3|bag)(\.active)?(\.(zstd|zst|lz4|gz|bz2))?$', re.IGNORECASE)
KINDS = 'a rosbag2 folder, an .mcap, a .db3, or a .bag, plain or compressed (zstd, lz4, gz, bz2)'
BLOCK = 1 << 20


class RecordingFiles:
    """The files of one recording; `messages` may be called again and again."""

    def __init__(self, path: Path) -> None:
        """Raises: DatasetError for a path that is no recording; its message says what it is."""
        self.path = path
        self.notes: list[str] = []  # what is damaged or missing, each once
        self.damaged = False
        self._unpacked: tempfile.TemporaryDirectory[str] | None = None
        if not path.exists():
            raise DatasetError(f'there is no recording {path}')
        if not path.is_dir() and not path.is_file():
            raise DatasetError(f'{path} is neither a file nor a folder; {KINDS} is expected')
        self._files = self._opened()

    def messages(self) -> Iterator[RawMessage]:
        """All messages of all files, as far as they can be read."""
        for file, readable, read in self._files:
            yield from read(readable, partial(self._note, file))

    def close(self) -> None:
        """Delete what was unpacked."""
        if self._unpacked is not None:
            self._unpacked.cleanup()

    def _opened(self) -> list[tuple[Path, Path, Callable[[Path, Note], Iterator[RawMessage]]]]:
        """Each file, what is to be read for it, and how.

        Raises:
            DatasetError: none of them is a recording.
        """
        opened, refused = [], []
        for file in self._find():
            try:
                opened.append((file, *self._open(file)))
            except DatasetError as error:
                refused.append(error)
        if not opened:
            raise refused[0]
        for reason in refused:  # the others are still good
            self.damaged = True
            self.notes.append(f'{reason}; it is left out')
        return opened

    def _note(self, file: Path, what: str, damage: bool = True) -> None:
        text = f'{file}: {what}'
        self.damaged |= damage
        if text not in self.notes:
            self.notes.append(text)

    def _find(self) -> list[Path]:
        if not self.path.is_dir():
            return [self.path]
        present = {
            file.name: file
            for file in self.path.iterdir()
            if NAMES.search(file.name) and not file.name.startswith('._') and file.is_file()
        }
        for name in list(present):
            if _bare(name) != name and _bare(name) in present:  # unpacked already
                del present[name]
        listed = self._listed()
        missing = [n for n in listed if n not in present and _bare(n) not in map(_bare, present)]
        for name in missing:
            self._note(self.path, f'{name} is missing, though metadata.yaml lists it')
        if not present:
            raise DatasetError(
                f'{self.path} cannot be read as a recording: it holds no .mcap, .db3 or .bag; '
                f'{KINDS} is expected'
            )
        order = {_bare(name): k for k, name in enumerate(listed)}
        for name in present if listed else []:
            if _bare(name) not in order:
                unlisted = f'{name} is read, though metadata.yaml does not list it'
                self._note(self.path, unlisted, damage=False)
        names = sorted(present, key=lambda n: (order.get(_bare(n), len(order)), _natural(n)))
        return [present[name] for name in names]

    def _listed(self) -> list[str]:
        """The files' names by metadata.yaml; [] where it is absent or damaged, which is noted."""
        file = self.path / 'metadata.yaml'
        if not file.exists():
            if not any(self.path.glob('*.bag*')):  # ROS 1 has none
                hint = 'there is no metadata.yaml; `ros2 bag reindex` writes one'
                self._note(self.path, hint, damage=False)
            return []
        try:
            loaded = yaml.safe_load(read_text(file))
            paths = loaded['rosbag2_bagfile_information']['relative_file_paths']
            return [str(path).rsplit('/', 1)[-1] for path in paths]
        except Exception as error:  # PyYAML has many for what is no YAML
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            self._note(file, f'is damaged ({reason}); `ros2 bag reindex` writes a new one')
            return []

    def _open(self, file: Path) -> tuple[Path, Callable[[Path, Note], Iterator[RawMessage]]]:
        """The file, or what is in it unpacked, and its reader, by its first bytes."""
        given = file
        try:
            start = _start(file)
            for magic, compression in COMPRESSIONS.items():
                if start.startswith(magic):
                    file = self._unpack(file, compression)
                    start = _start(file)
                    break
        except OSError as error:
            raise DatasetError(f'{file} cannot be read: {error}') from None
        for magic, read in READERS.items():
            if start.startswith(magic):
                return file, read
        if start.startswith(b'#ROSBAG'):
            raise DatasetError(f'{given} is a bag of a version that is not read: {start[:13]!r}')
        reason = 'it does not begin as one' if start else 'it is empty'
        raise DatasetError(f'{given} cannot be read as a recording: {reason}; {KINDS} is expected')

    def _unpack(self, file: Path, compression: str) -> Path:
        """Into a temporary folder; what comes before damage is kept."""
        if self._unpacked is None:
            self._unpacked = tempfile.TemporaryDirectory(prefix='insegan-')
        folder = Path(self._unpacked.name)
        out = folder / f'{sum(1 for _ in folder.iterdir())}.raw'
        with open(file, 'rb') as packed, open(out, 'wb') as plain:
            try:
                ended = True
                for piece, ended in _pieces(packed, compression):  # noqa: B007 its last value
                    _require_space(folder, file)
                    plain.write(piece)
                if not ended:
                    self._note(file, 'it is cut short; what there is of it is read')
            except (OSError, DatasetError):
                raise
            except Exception as error:  # each library has its own
                self._note(file, f'it is damaged ({error}); what comes before is read')
        return out


def _pieces(packed: BinaryIO, compression: str) -> Iterator[tuple[bytes, bool]]:
    """What a compressed file holds, piece by piece, and whether its end was reached."""
    decompressor = make_decompressor(compression)
    while block := packed.read(BLOCK):
        while True:
            if decompressor.eof:  # another part may follow
                block = decompressor.unused_data or block
                decompressor = make_decompressor(compression)
            yield decompressor.decompress(block, 4 * BLOCK), decompressor.eof
            if decompressor.eof:
                block = decompressor.unused_data
            elif compression == 'gzip':
                block = decompressor.unconsumed_tail
            elif decompressor.needs_input:
                break
            else:
                block = b''
                continue
            if not block:
                break


def _require_space(folder: Path, file: Path) -> None:
    if shutil.disk_usage(folder).free < 64 << 20:
        raise DatasetError(f'{file} cannot be unpacked: {folder} has no room left; set TMPDIR')


def _start(file: Path) -> bytes:
    with open(file, 'rb') as opened:
        return opened.read(16)


def _bare(name: str) -> str:
    """A file's name without what compression added to it."""
    return re.sub(r'\.(zstd|zst|lz4|gz|bz2)$', '', name)


def _natural(name: str) -> list[tuple[int, str]]:
    """rec_2 comes before rec_10."""
    words = re.split(r'(\d+)', name)
    return [(int(word), '') if word.isdecimal() else (0, word) for word in words]
