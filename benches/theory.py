"""Measure the published learners on planted networks, with exact moments and those of two million rows.

    OPENBLAS_NUM_THREADS=1 python benches/theory.py [--seeds 5] [--rows 2000000] [--features 6]

The script prints the largest error over seeds, which determine the network, the directions and the rows, and how many
seeds ended in `Fail`. The error is that of the whole function, relative to the part of the teacher that is not affine.
It also prints medians of the number of guesses tried, of log10 of the number of guesses in nets as fine as the finest
one used, and of the seconds. The exit status is 1 if a limit is exceeded. The polynomials of [DK24], which need no
search, are measured with exact moments in up to three dimensions, because in more dimensions they have too many
coefficients.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time

from relunet import ReLUNetwork, scan_array, teachers
from relunet.theory import (
    AbsoluteForm,
    Estimate,
    Fail,
    MultiScaleLearner,
    NetLearner,
    PolynomialEstimate,
    PolynomialLearner,
    PopulationMoments,
    SampleMoments,
    Validated,
)

Learner = type[MultiScaleLearner] | type[NetLearner] | type[PolynomialLearner]

SEARCHING: tuple[Learner, ...] = (MultiScaleLearner, NetLearner)
# Family, features, neurons, limit of the error.
EXACT = [
    ("generic", 10, 1, 0.05),
    ("generic", 10, 2, 0.05),
    ("generic", 10, 3, 0.05),
    ("positive", 10, 2, 0.05),
    ("positive", 10, 3, 0.05),
    ("plane", 10, 2, 0.05),
    ("plane", 10, 3, 0.05),
    ("close_pair", 10, 2, 0.05),
    ("close_pair", 10, 3, 0.05),
    ("level_fan", 10, 2, 0.05),
    ("level_fan", 10, 4, 0.05),
    ("level_fan", 10, 6, 0.05),
    ("level_fan", 10, 8, 0.05),
    ("generic", 10, 4, 0.05),
    ("arc_scales", 10, 4, 0.001),
]
SAMPLED = [("generic", 2, 0.05), ("close_pair", 2, 0.05), ("level_fan", 4, 0.15)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--features", type=int, default=6)
    arguments = parser.parse_args()
    print("| moments | network | k | learner | limit | error | failed | tried | log10 of all | seconds |")
    print("|---" * 10 + "|")
    missed = False
    for family, d, k, limit in EXACT:
        few_dimensions = k <= 3 or family == "level_fan"
        for learner in (*SEARCHING, PolynomialLearner) if few_dimensions else SEARCHING:
            missed |= report("exact", family, d, k, limit, learner, arguments.seeds, None)
    for family, k, limit in SAMPLED:
        for learner in SEARCHING:
            name = f"{arguments.rows} rows"
            missed |= report(name, family, arguments.features, k, limit, learner, arguments.seeds, arguments.rows)
    sys.exit(missed)


def report(
    name: str, family: str, d: int, k: int, limit: float, learner: Learner, n_seeds: int, n_rows: int | None
) -> bool:
    """Print the row of one learner; return whether it missed its limit."""
    errors, costs, seconds = [], [], []
    for seed in range(n_seeds):
        teacher = teachers.FAMILIES[family](d, k, seed)
        samples = None if n_rows is None else scan_array(*teacher.sample(n_rows, rng=1000 + seed))
        moments = PopulationMoments(teacher.network) if samples is None else SampleMoments(samples)
        start = time.process_time()
        try:
            learnt = learner(k, limit, random_state=seed).learn(moments)
            errors.append(error(learnt, teacher.network))
            found: Validated | None = learnt
        except Fail as failure:
            found = failure.best
            errors.append(math.inf)
        seconds.append(time.process_time() - start)
        if isinstance(found, Estimate):
            costs.append(found.cost)
    validated = [error for error in errors if math.isfinite(error)]
    tried = statistics.median([cost.tried for cost in costs] or [math.nan])
    paths = statistics.median([cost.log10_paths for cost in costs] or [math.nan])
    failed = len(errors) - len(validated)
    cells = (
        name,
        family,
        k,
        learner.__name__,
        f"{limit:g}",
        f"{max(validated, default=math.nan):.1e}",
        f"{failed} of {len(errors)}",
        f"{tried:.0f}",
        f"{paths:.1f}",
        f"{statistics.median(seconds):.1f}",
    )
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)
    return failed > 0 or max(validated) > limit


def error(found: Estimate | PolynomialEstimate, network: ReLUNetwork) -> float:
    """Return the error of the whole function, a polynomial's by Parseval."""
    if isinstance(found, PolynomialEstimate):
        return found.error
    return found.network.gaussian_distance(network) / AbsoluteForm.of(network).residual_norm()


if __name__ == "__main__":
    main()
