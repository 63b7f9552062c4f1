"""Parse the values of command-line arguments: sizes, counts, durations and columns."""

from __future__ import annotations

import argparse
import re
from typing import overload

from relunet.errors import ArgumentError

__all__ = ["column", "column_number", "count", "duration", "four_or_more", "positive", "size"]


def size(text: str) -> int:
    """Parse a number of bytes such as 500MB, 2GB or 2GiB."""
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([kMGT]?)(i?)B?\s*", text)
    if match is None or float(match[1]) == 0:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a size such as 500MB or 2GiB")
    return int(float(match[1]) * (1024 if match[3] else 1000) ** " kMGT".index(match[2] or " "))


def count(text: str) -> int:
    """Parse a positive integer, which may be written like 1e9."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not (number >= 1 and number.is_integer()):
        raise argparse.ArgumentTypeError(f"{text!r}, expected an integer of at least 1")
    return int(text) if text.isdecimal() else int(number)


def duration(text: str) -> float:
    """Parse a time such as 30s, 10min, 2h or 3d."""
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*(s|min|h|d)\s*", text)
    if match is None or float(match[1]) == 0:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a time such as 30s, 10min, 2h or 3d")
    return float(match[1]) * {"s": 1, "min": 60, "h": 3600, "d": 86400}[match[2]]


def positive(text: str, least: int = 1) -> int:
    """Parse an integer of at least `least`."""
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text!r}, expected an integer of at least {least}")
    return int(text)


def four_or_more(text: str) -> int:
    """Parse an integer of at least 4."""
    return positive(text, 4)


@overload
def column(text: None) -> None: ...
@overload
def column(text: str) -> int | str: ...
def column(text: str | None) -> int | str | None:
    """Parse a column: a number where the text is one, else a name."""
    return int(text) if text is not None and re.fullmatch(r"-?\d+", text) else text


@overload
def column_number(text: None, option: str) -> None: ...
@overload
def column_number(text: str, option: str) -> int: ...
def column_number(text: str | None, option: str) -> int | None:
    """Parse a column of an array, which has no names."""
    found = column(text) if text is not None else None
    if isinstance(found, str):
        raise ArgumentError(f"{option}: {found!r}; expected the number of a column, for those of .npy have no names")
    return found
