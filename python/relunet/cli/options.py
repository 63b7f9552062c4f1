"""Values of command-line options: sizes, counts, durations, names and columns."""

from __future__ import annotations

import argparse
import csv
import re

from relunet.errors import ArgumentError

__all__ = [
    "column",
    "column_number",
    "count",
    "delimiter",
    "duration",
    "four_or_more",
    "names",
    "positive",
    "seed",
    "size",
]

# Larger numbers are taken for mistakes: no file has so many rows, and sums of them do not overflow.
_LARGEST = 10**18


def size(text: str) -> int:
    """Parse a number of bytes such as 500MB, 2GB or 2GiB."""
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([kMGT]?)(i?)B?\s*", text)
    n_bytes = 0.0 if match is None else float(match[1]) * (1024 if match[3] else 1000) ** " kMGT".index(match[2] or " ")
    if not 1 <= n_bytes <= _LARGEST:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a size such as 500MB or 2GiB")
    return int(n_bytes)


def count(text: str) -> int:
    """Parse a positive integer, which may be written like 1e9."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not (1 <= number <= _LARGEST and number.is_integer()):
        raise argparse.ArgumentTypeError(f"{text!r}, expected an integer from 1 to {_LARGEST:.0e}, such as 1e9")
    return int(text) if text.isdecimal() else int(number)


def duration(text: str) -> float:
    """Parse a time such as 30s, 10min, 2h or 3d, in seconds."""
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*(s|min|h|d)\s*", text)
    seconds = 0.0 if match is None else float(match[1]) * {"s": 1, "min": 60, "h": 3600, "d": 86400}[match[2]]
    if not 0 < seconds <= _LARGEST:
        raise argparse.ArgumentTypeError(f"{text!r}, expected a time such as 30s, 10min, 2h or 3d")
    return seconds


def positive(text: str, least: int = 1) -> int:
    """Parse an integer of at least `least`."""
    if not re.fullmatch(r"[0-9]{1,18}", text) or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text!r}, expected an integer of at least {least}")
    return int(text)


def four_or_more(text: str) -> int:
    """Parse an integer of at least 4."""
    return positive(text, 4)


def seed(text: str) -> int:
    """Parse a seed, an integer of at least 0."""
    return positive(text, 0)


def delimiter(text: str) -> str:
    r"""Parse a delimiter: one character, or a tab as the word or as \t."""
    character = "\t" if text in ("tab", r"\t") else text
    if len(character) != 1 or not character.isascii() or character in '"\r\n':
        raise argparse.ArgumentTypeError(f"{text!r}, expected one character, such as ';', or tab")
    return character


def names(text: str) -> list[str]:
    """Parse names with commas between them; a name with a comma is quoted as in CSV."""
    found = next(csv.reader([text], skipinitialspace=True), [])
    if not found or not all(found):
        raise argparse.ArgumentTypeError(f"{text!r}, expected names with commas between them")
    return found


def column(text: str) -> int | str:
    """Parse a column: a number if the text is an integer, else a name."""
    return int(text) if re.fullmatch(r"-?[0-9]{1,9}", text) else text


def column_number(text: str, option: str) -> int:
    """Parse a column of an array, whose columns have no names.

    Raises
    ------
    ArgumentError
        For a name.
    """
    found = column(text)
    if isinstance(found, str):
        raise ArgumentError(f"{option}: {found!r}, expected a number, because the columns of .npy files have no names")
    return found
