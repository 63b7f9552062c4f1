"""The command line."""

from relunet.cli.parser import main

__all__ = ["main"]
