"""`insegan`: the command line. Each subcommand is a file of `insegan_ros.commands`."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
import traceback
from collections.abc import Sequence

from insegan_ros import __version__
from insegan_ros.files import require_current_folder
from insegan_ros.seeds import require_seed

# A command's summary; its module has add_arguments(parser) and run(args) -> exit code, and imports
# what is heavy inside run, so that `insegan --help` answers at once.
COMMANDS = {
    'generate': 'drop parts in a simulated bin and store depth images with ground truth',
    'calibrate': "find the bin's floor and region in a frame and store them",
    'template': "discover the part's shape in unlabelled depth images",
    'train': 'learn a model of the part from unlabelled depth images',
    'pretrain': 'teach the network from random shapes what piles are like',
    'segment': 'segment images with a model or a classical method',
    'evaluate': 'compare methods on a dataset',
    'import': 'turn recordings or other layouts into a dataset',
    'export': 'turn a dataset into a recording or into pictures to draw masks on',
    'export-template': 'turn a learned shape into a mesh',
    'export-model': "turn a model's network into ONNX",
    'verify': 'check a dataset and say what is damaged',
}


EXIT_CODES = """exit codes:
  0    done
  1    it failed, and said why
  2    the call was wrong
  3    done, but for what was named and left out: frames, messages or files that are damaged
  130  interrupted by Ctrl-C; what is stored is whole"""
DEBUG = 'INSEGAN_DEBUG'
GPU_ERRORS = ('AcceleratorError', 'OutOfMemoryError')  # torch's, which is not imported for them

RESERVED = {'import': 'import_data'}  # no module can have a keyword's name


def module_of(command: str) -> str:
    """The module of insegan_ros.commands that a command is."""
    return RESERVED.get(command, command.replace('-', '_'))


def build_parser(only: str | None = None) -> argparse.ArgumentParser:
    """The parser; `only` loads one command's arguments and leaves the others bare."""
    parser = argparse.ArgumentParser(
        prog='insegan',
        description='Segment identical parts in depth images, learned without labels.',
        epilog=f'`insegan COMMAND --help` explains a command and gives examples.\n\n{EXIT_CODES}',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--version', action='version', version=f'insegan {__version__}')
    subparsers = parser.add_subparsers(dest='command', metavar='COMMAND', required=True)
    for name, summary in COMMANDS.items():
        subparser = subparsers.add_parser(
            name,
            help=summary,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if only in (None, name):
            module = importlib.import_module(f'insegan_ros.commands.{module_of(name)}')
            subparser.description = module.__doc__
            module.add_arguments(subparser)
            subparser.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code, which EXIT_CODES explains.

    This is the one place where an error becomes words: none reaches a user as a traceback.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a path may hold what the locale cannot say
        sys.stdout.reconfigure(errors='backslashreplace')
    chosen = next((word for word in argv if word in COMMANDS), '')
    try:
        require_current_folder()
        for before, word in zip([chosen, *argv], argv):
            if not word or (word.startswith('--') and word.endswith('=')):
                # as a path it would be the current folder
                raise ValueError(f'the value after {word or before} is empty; is a variable set?')
        parser = build_parser(only=chosen)
        args = parser.parse_args(argv)
        require_seed(parser, args)
        return int(args.run(args) or 0)
    except KeyboardInterrupt:
        print('insegan: interrupted; what is stored is whole', file=sys.stderr)
        return 130
    except BrokenPipeError:  # what listened has gone: `insegan verify ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if os.environ.get(DEBUG):
            traceback.print_exc()
        name = f'insegan {chosen}'.rstrip()
        print(f'{name}: {described(error)}', file=sys.stderr)
        return 1


def described(error: Exception) -> str:
    """What is said of an error: its own words, and of a defect also where it lies."""
    if isinstance(error, ModuleNotFoundError) and not str(error.name).startswith('insegan_ros'):
        return f'the Python package {error.name} is not installed: pip install {error.name}'
    if isinstance(error, MemoryError):
        return 'there is not enough memory for this; --limit takes fewer frames'
    if type(error).__name__ in GPU_ERRORS:
        said = (str(error) or type(error).__name__).splitlines()[0]
        return (
            f'the GPU failed: {said}. What shares it may be to blame. The same '
            'command goes on with what training stored; --device cpu does without the GPU'
        )
    if isinstance(error, OSError) and error.strerror:  # a disk, a folder
        return f'{error.strerror}{"" if error.filename is None else f": {error.filename}"}'
    if isinstance(error, ValueError | OSError) and str(error):  # bad input
        return str(error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f'a defect of insegan or of a library: {type(error).__name__}: {error} '
        f'({last.filename}, line {last.lineno}); {DEBUG}=1 shows all of it, for a report'
    )


if __name__ == '__main__':
    sys.exit(main())
