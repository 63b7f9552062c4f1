"""Compare the number of rounds of gapped scales with the clumping game, for each smallest allowed scale.

    python benches/experiments/chain.py [--draws 200] [--figure docs/experiments/chain.png]

Neurons are numbers v_i whose gaps have random levels: 0 is ε', 1 is T(ε'), 2 is T(T(ε')), .. ([CDGKM23], appendix C).
The smallest scale γ that a learner may use is that of level `depth`; the accuracy of its moments must be a power of γ.
A single scale for all neurons takes one round, but it has to be as small as the smallest gap (section 3). Shallower
scales may take several rounds: each round removes the gapped neurons, which widens the gaps of the others. By Lemma 30,
a depth of log2 k + 1 and O(log k) moves always suffice. The figure shows the largest number of rounds of any chain, and
the share of chains that are learnt:

    rounds  rounds of `Scales.rounds`, which takes disjoint clumps greedily, largest first (Lemma 18)
    game    moves of the strategy of Lemma 30, which makes two for each halving

`MultiScaleLearner` runs on exact moments of `teachers.arc_scales`, with gaps 0.5, 0.05, 0.005. It also runs on two
neurons of weights 1 and a ratio, with exact moments and with 200,000 rows of 5 features, where the stronger neuron
hides the weaker one: residual moments have the variance of the residual, but moments from which those of the known
network are subtracted (the alternative of Lemma 8) have the variance of the label.
"""

from __future__ import annotations

import argparse
import math

import matplotlib
import numpy as np

from relunet import ReLUNetwork, scan_array, teachers
from relunet.theory import Fail, MultiScaleLearner, PopulationMoments, SampleMoments
from relunet.theory.clumping import play, strategy
from relunet.theory.scales import Closeness, Scales

matplotlib.use("Agg")
from matplotlib import pyplot as plt

# Gaps down to 1e-13, in double precision: T must not be too small, or there are few scales.
WIDEST, CLOSENESS = 0.05, Closeness(math.log(0.02), 1.05)
# What an application of T adds to the level in the game, which asks for more than 1.
STEP = 1.1
WIDTHS, COLOURS = (4, 8, 16), ("#a9b6bc", "#e09f3e", "#1f6f8b")


def main() -> None:
    """Print the tables and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--figure", default="docs/experiments/chain.png")
    arguments = parser.parse_args()
    scales = [WIDEST]
    while CLOSENESS(scales[-1]) > 1e-13:
        scales.append(CLOSENESS(scales[-1]))
    depths = np.arange(1, len(scales))
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    print("| k | depth | rounds: learnt, most | game: won, most |\n|---|---|---|---|")
    for k, colour in zip(WIDTHS, COLOURS, strict=True):
        table = []
        for depth in depths:
            chains = [
                np.random.default_rng([seed, k]).uniform(0, len(scales) - 1, k - 1) for seed in range(arguments.draws)
            ]
            by_rounds = summary([rounds(at_level(scales, chain), scales[depth]) for chain in chains])
            by_game = summary([moves(chain, int(depth)) for chain in chains])
            table.append((by_rounds, by_game))
            print(f"| {k} | {depth} | {by_rounds[0]:.2f}, {by_rounds[1]:.0f} | {by_game[0]:.2f}, {by_game[1]:.0f} |")
        found = np.array(table)
        for column, style, name in ((0, "o-", "rounds"), (1, "s:", "game")):
            axes[0].plot(depths, found[:, column, 0], style, color=colour, label=f"{name}, k = {k}")
            axes[1].plot(depths, found[:, column, 1], style, color=colour)
    axes[0].set(title="share of chains learnt", xlabel="depth of the smallest scale", ylim=(0, 1.05))
    axes[1].set(title="most rounds of those", xlabel="depth of the smallest scale")
    axes[0].legend(frameon=False, fontsize=8)
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"Chains of {len(scales)} scales")
    figure.savefig(arguments.figure, dpi=100)

    print("\n| arc_scales k | exact moments |\n|---|---|")
    for k in (2, 3, 4):
        network = teachers.arc_scales(6, k, 0).network
        print(f"| {k} | {outcome(MultiScaleLearner(k), PopulationMoments(network))} |")

    print("\n| ratio of weights | ε | seed | exact moments | residual moments | subtracted moments |")
    print("|---|---|---|---|---|---|")
    for ratio in (1.0, 0.3, 0.1, 0.05, 0.025):
        for seed in range(3):
            rng = np.random.default_rng(seed)
            network = ReLUNetwork(np.linalg.qr(rng.standard_normal((5, 2)))[0].T, [1.0, ratio])
            x = rng.standard_normal((200_000, 5))
            samples = scan_array(x, network.predict(x))
            sources = (PopulationMoments(network), SampleMoments(samples), SampleMoments(samples, subtract=True))
            # Far enough below the weaker neuron's part that it cannot be left out.
            learner = MultiScaleLearner(2, ratio / 2)
            outcomes = " | ".join(outcome(learner, moments) for moments in sources)
            print(f"| {ratio:g} | {learner.epsilon:.2g} | {seed} | {outcomes} |", flush=True)


def outcome(learner: MultiScaleLearner, moments: PopulationMoments | SampleMoments) -> str:
    """Return the rounds that a learner takes, and its error, or Fail."""
    try:
        learnt = learner.learn(moments)
    except Fail:
        return "Fail"
    return f"{learnt.cost.rounds} round{'s' if learnt.cost.rounds > 1 else ''}, {learnt.error:.1e}"


def at_level(scales: list[float], levels: np.ndarray) -> np.ndarray:
    """Return the scales at any levels, geometric means of neighbours between the whole ones."""
    found: np.ndarray = np.exp(np.interp(levels, np.arange(len(scales)), np.log(scales)))
    return found


def summary(counts: list[int | None]) -> tuple[float, float]:
    """Return the share that came to an end, and the largest count of those."""
    ended = [count for count in counts if count is not None]
    return len(ended) / len(counts), max(ended, default=0)


def rounds(gaps: np.ndarray, finest: float) -> int | None:
    """Return the rounds that neurons with these gaps take, None where some are left without gapped scale."""
    v = np.concatenate([[0.0], np.cumsum(gaps)])
    # A little below the scale itself, for differences of sums are rounded.
    scales = Scales(v, np.ones(len(v)), CLOSENESS, 0.0, 0.999 * finest)
    chosen = scales.rounds(WIDEST)
    left = np.arange(len(v))
    for pairs in chosen:
        now = Scales(v[left], np.ones(len(left)), CLOSENESS, 0.0, 0.0)
        clumps = [now.close(int(np.flatnonzero(left == i)[0]), gamma) for i, gamma in pairs]
        left = np.delete(left, np.concatenate(clumps))
    return len(chosen) if len(left) == 0 or np.ptp(v[left]) <= WIDEST else None


def moves(chain: np.ndarray, depth: int) -> int | None:
    """Return the moves of the strategy, None where it does not win."""
    w = [0.0, *(STEP * float(level) for level in chain), 0.0]
    made = strategy(w, STEP * float(depth))
    for intervals in made:
        w, _ = play(w, intervals, STEP * float(depth))
    return len(made) if len(w) == 1 else None


if __name__ == "__main__":
    main()
