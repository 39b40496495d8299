"""Seeds of commands and demos: numbers that every library's random generator takes."""

from __future__ import annotations

import argparse

MAX_SEED = 2**32 - 1


def require_seed(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """End with exit code 2 where --seed, which not every command has, is no such number."""
    if not 0 <= (seed := getattr(args, 'seed', 0)) <= MAX_SEED:
        parser.error(f'--seed {seed}: a whole number from 0 to {MAX_SEED} is expected')
