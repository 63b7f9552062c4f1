"""Count the instructions of the kernels under Valgrind, which shows regressions independently of the load.

    python benches/instructions.py [--record]

Counts are divided by the number of input values. Valgrind runs the AVX2 version of the kernels on any processor. The
script compares the counts with `benches/instructions.txt`, or replaces this file with `--record`. The exit status is 1
if a count has grown by more than 3 %.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
RECORD = HERE / "instructions.txt"
TOLERANCE = 1.03


def main() -> int:
    """Count, then compare or record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", help="replace the recorded counts")
    record = parser.parse_args().record
    manifest = HERE / "kernels" / "Cargo.toml"
    target = HERE.parent / "target"
    build = ["cargo", "build", "--release", "--quiet", f"--manifest-path={manifest}", f"--target-dir={target}"]
    subprocess.run(build, check=True)
    program = str(target / "release" / "relunet-kernels")
    listed = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    counts = {}
    for line in listed.splitlines():
        size, name = line.split("\t")
        if "naive" in name:  # there for the times; slow to count
            continue
        counts[name] = count(program, name) / int(size)
    if record:
        RECORD.write_text("".join(f"{value:10.2f}  {name}\n" for name, value in counts.items()))
        return 0
    lines = RECORD.read_text().splitlines() if RECORD.exists() else []
    known = dict(line.split(maxsplit=1)[::-1] for line in lines)
    grown = 0
    for name, value in counts.items():
        before = float(known.get(name, "nan"))
        grown += value > TOLERANCE * before
        print(f"{value:10.2f}  {name}  (recorded {before:.2f}){'   GROWN' if value > TOLERANCE * before else ''}")
    return int(grown > 0)


def count(program: str, name: str) -> int:
    """Return the instructions of the second run of a case."""
    with tempfile.TemporaryDirectory() as folder:
        tool = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", "--toggle-collect=*counted*"]
        told = subprocess.run([*tool, program, name], check=True, capture_output=True, text=True).stderr
    collected = re.search(r"Collected : (\d+)", told)
    if collected is None:
        sys.exit(f"no count in what Valgrind says:\n{told}")
    return int(collected[1])


if __name__ == "__main__":
    sys.exit(main())
