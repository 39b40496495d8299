"""`insegan`: the command line. Each subcommand is a file of `insegan_ros.commands`."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from insegan_ros import __version__

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


RESERVED = {'import': 'import_data'}  # no module can have a keyword's name


def module_of(command: str) -> str:
    """The module of insegan_ros.commands that a command is."""
    return RESERVED.get(command, command.replace('-', '_'))


def build_parser(only: str | None = None) -> argparse.ArgumentParser:
    """The parser; `only` loads one command's arguments and leaves the others bare."""
    parser = argparse.ArgumentParser(
        prog='insegan',
        description='Segment identical parts in depth images, learned without labels.',
        epilog='`insegan COMMAND --help` explains a command and gives examples.',
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
    """Run a command. 0: done; 1: it failed and said why; 2: the call was wrong; 130: Ctrl-C."""
    argv = list(sys.argv[1:] if argv is None else argv)
    chosen = next((word for word in argv if word in COMMANDS), '')
    args = build_parser(only=chosen).parse_args(argv)
    try:
        return int(args.run(args) or 0)
    except (ValueError, OSError) as error:  # bad input or a disk; anything else is our defect
        print(f'insegan {args.command}: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('insegan: interrupted; what is stored is whole', file=sys.stderr)
        return 130


if __name__ == '__main__':
    sys.exit(main())
