"""Update the figures and tables of the documentation by running the commands that are given above them.

    python benches/figures.py [--list] [--document FILE ..] [COMMAND ..]

A command `python benches/...` in README.md or docs/*.md is run if a figure or a table follows it in its section. The
script that is run draws the figure. Tables in all documents are replaced by the printed tables with the same head, but
only if the script succeeds and prints all of them. If words are given, only commands that contain one of them are run;
if documents are given, only commands in these documents. Run this script from the root of the repository, with a Python
that has the packages that the scripts need.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

COMMAND = re.compile(r"\bpython (benches/[^`)\n]+)")
TABLE = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)
SHOWN = re.compile(r"^(?:\||!\[)", re.MULTILINE)


def main() -> int:
    """Run the commands one after another; return whether one failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="print the commands, run none")
    parser.add_argument("--document", nargs="+", type=Path, help="where commands are looked for; everywhere by default")
    parser.add_argument("words", nargs="*", metavar="COMMAND")
    arguments = parser.parse_args()
    documents = [Path("README.md"), *sorted(Path("docs").glob("*.md"))]
    named = [command for document in arguments.document or documents for command in commands(document.read_text())]
    failed = []
    # Each once, however many documents show it.
    for command in dict.fromkeys(named):
        if not arguments.words or any(word in command for word in arguments.words):
            print(command, flush=True)
            if not arguments.list and not redraw(documents, command):
                failed.append(command)
    for command in failed:
        print(f"failed: {command}")
    return int(bool(failed))


def commands(text: str) -> list[str]:
    """Return the commands of a document that have something to show."""
    return [command for command, passage in passages(text) if SHOWN.search(passage)]


def passages(text: str) -> list[tuple[str, str]]:
    """Return each command with what follows it, up to the next command or heading."""
    found = list(COMMAND.finditer(text))
    ends = [*(match.start() for match in found), len(text)][1:]
    return [
        (match[1].strip(), re.split(r"^#", text[match.end() : end], maxsplit=1, flags=re.MULTILINE)[0])
        for match, end in zip(found, ends, strict=True)
    ]


def redraw(documents: list[Path], command: str) -> bool:
    """Run a command and put its tables into the documents; return whether it printed all that they show."""
    start = time.perf_counter()
    run = subprocess.run(
        [sys.executable, *shlex.split(command)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    print(run.stdout)
    print(f"{time.perf_counter() - start:.0f} s, exit status {run.returncode}\n", flush=True)
    if run.returncode != 0:
        return False
    try:
        texts = [with_tables(document.read_text(), command, run.stdout) for document in documents]
    except ValueError as error:
        print(error)
        return False
    for document, text in zip(documents, texts, strict=True):
        document.write_text(text)
    return True


def with_tables(text: str, command: str, printed: str) -> str:
    """Return a document with the tables under a command replaced by those printed with the same head.

    Raises ValueError where one of them was not printed, or without rows.
    """
    # Head and rule come before the rows.
    fresh: dict[str, str] = {table.split("\n")[0]: table for table in TABLE.findall(printed) if table.count("\n") > 2}

    def renewed(shown: re.Match[str]) -> str:
        head = shown[0].split("\n")[0]
        if head not in fresh:
            raise ValueError(f"{command} printed no rows of the table {head}")
        return fresh[head]

    for of, passage in passages(text):
        if of == command:
            text = text.replace(passage, TABLE.sub(renewed, passage))
    return text


if __name__ == "__main__":
    sys.exit(main())
