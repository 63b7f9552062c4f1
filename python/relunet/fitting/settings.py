"""Constants of the method with their defaults, which the driver passes to the stages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["DEFAULTS", "Settings", "Statistic"]

Statistic: TypeAlias = Literal["C_1", "C_2", "K"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Constants of a fit; the defaults are those that every figure of the documentation was measured with.

    Attributes
    ----------
    max_dense : int
        Above this number of features, sketching is used: memory is linear in n_features.
    sample_bytes : int
        Bytes of inputs that a dense fit keeps in memory. More rows make the first fit more precise.
    rows_per_parameter, fewest_rows : int
        Rows that the first polish uses: so many for each parameter, and at least `fewest_rows`.
    sketch_rows : int
        Rows whose projections a sketched fit keeps in memory.
    held_out_every : int
        One sampled row in so many is held out.
    max_rounds : int
        Most rounds of search; [CDGKM23] needs O(log k).
    efforts : tuple of int
        Floating-point operations that the exchanges of a round may spend, after none, one or two rounds without
        progress. The number of entries is the number of such rounds that end the fit.
    last_effort : int
        The same for a round in which no new direction is visible.
    least_progress : float
        Relative decrease of the risk below which a round counts as one without progress.
    least_rows_per_parameter : float
        Rows for each parameter that a fit needs; fewer rows allow fewer neurons.
    direct_least_rows_per_parameter, direct_rows_per_parameter : float
        Fewest and most rows for each parameter with which neurons are searched in all dimensions at once.
    direct_budget : int
        Floating-point operations of such a search; no step may take more than a thousandth of them.
    direct_steps : int
        Most Levenberg-Marquardt steps of such a search.
    direct_neurons : int
        Most neurons of such a search where their number is not given.
    direct_floor : float
        Relative RMS residual at which a search in all dimensions ends.
    sure_rows_per_parameter : float
        Up to so many rows for each parameter, an exact fit is checked for parameters that the rows do not determine.
    most_design_entries : int
        Above this number of rows times parameters, that check is left out.
    wide_neurons : int
        Above this number of neurons given by the user, neurons are searched all at once by gradients.
    wide_rows_per_parameter : int
        Rows for each parameter that such a search keeps in memory.
    smoothed : float
        Part of the loss that a neuron must explain in a first look. The error of the subspace smooths the kinks there,
        and neurons that explain less would fit the smoothing.
    selection : float
        How many times its expected gain by chance a neuron must gain in the search, as the best of many tried.
    price : float
        Price of a parameter in units of the decrease of the risk that it brings by chance. 2 is Akaike's price; the
        best of several optima gains more by chance.
    statistics : tuple of {"C_1", "C_2", "K"}
        Statistics that find the subspace: the contractions with the first and second Hermite polynomial of the label's
        normal score, and the one that uses all slices.
    rows_per_dimension : int
        Rows of a slice for each feature. Fewer rows make the matrix of a slice noisier, more rows blur the label.
    max_slices : int
        Most slices of the label.
    smooth_rows : int
        Up to so many rows, a subspace that is asked for on its own is that of the gradients of a smooth fit.
    atom : float
        A label that more rows share than this part of a slice gets a slice of its own.
    block_sweeps : tuple of int
        Fewest and most sweeps of a block iteration.
    block_moved, block_grown : float
        A block iteration has converged where its directions move by less than `block_moved`, or, without visible
        directions, where its largest value grows by less than `block_grown`.
    spare_columns, most_columns : int
        Columns of a block iteration: so many more than neurons, of which `most_columns` count.
    blur_widths : tuple of float
        Distances from a kink, in standard deviations, within which its blur is measured. None are measured if empty.
    clumping : bool
        Whether coarser scales are tried.
    clump_patience : int
        Coarser levels in a row that may cost more before the search for clumps ends.
    clump_hopeless : float
        The search for clumps ends at once at a level that costs so many times the best.
    spare_error : float
        A neuron of an exact network is superfluous only if the error without it is below this part of the labels.
    exhaustive_orientations : int
        Up to so many neurons, all orientations are compared.
    polish : bool
        Whether networks are polished in all dimensions.
    polish_steps, sketch_steps : int
        Most sweeps of a polish by gradients, for dense and for sketched fits.
    max_newton : int
        Up to so many parameters, the exact normal matrix is used where gradients do not converge.
    newton_damping, gradient_damping : float
        First relative damping of the exact normal matrix and of the preconditioner.
    anderson_memory : int
        Earlier steps that Anderson acceleration combines.
    polish_patience : int
        Steps in a row without progress that end a polish. Steps may increase the risk, for later ones use them.
    exploded : float
        A step whose risk is so many times the best is undone and the damping increased.
    rebuild : float
        The preconditioner is computed anew when the risk has decreased to this part.
    precision_goal : float
        Part of the predicted statistical error at which a polish ends.
    far_mean : float
        A warning is given where the mean of a feature is so many times its standard deviation.
    exact_double, exact_single : float
        Relative RMS residual below which a sketched fit counts as exact, in double and in single precision; a dense fit
        measures the rounding of its labels and inputs.
    searched : float
        Optimism of a fit in units of that of a linear one, as the best of several optima, where its leave-one-out
        residuals decide.
    beyond, beyond_uneven : float
        Standard errors of the paired difference by which a network has to have less risk than one with fewer neurons:
        for noise of even size, and for noise with outliers or uneven size.
    even : float
        Largest kurtosis of the residuals that counts as noise of even size; that of Gaussian noise is 3.
    usual : float
        RMS residuals beyond which a residual counts in proportion to its size in that comparison.
    rows_per_side : float
        Rows that each side of a kink needs, in units of the parameters of a neuron.
    structure : float
        Standard errors by which a sign of structure in the mean of the residual has to stand out.
    digits : float
        A residual of at most so many times the rounding of digits that labels and inputs are given with needs no
        further neuron.
    wide, wide_step, wide_progress : int, int and float
        A network with more than `wide` neurons that nobody asked for grows by at most `wide_step` neurons a round, and
        only if each decreases its risk by `wide_progress`: labels that take so many are those of no narrow network.
    """

    max_dense: int = 1000
    sample_bytes: int = 2**25
    rows_per_parameter: int = 12
    fewest_rows: int = 20_000
    sketch_rows: int = 2**16
    held_out_every: int = 8

    max_rounds: int = 24
    efforts: tuple[int, ...] = (200_000_000, 1_600_000_000, 12_800_000_000)
    last_effort: int = 2_000_000_000
    least_progress: float = 0.01
    least_rows_per_parameter: float = 2.5
    direct_least_rows_per_parameter: float = 1.25
    direct_rows_per_parameter: float = 16.0
    direct_budget: int = 40_000_000_000
    direct_steps: int = 5000
    direct_neurons: int = 8
    direct_floor: float = 1e-13
    sure_rows_per_parameter: float = 50.0
    most_design_entries: int = 20_000_000
    wide_neurons: int = 32
    wide_rows_per_parameter: int = 6
    smoothed: float = 0.02
    selection: float = 4.0
    price: float = 2.5

    statistics: tuple[Statistic, ...] = ("C_1", "C_2", "K")
    rows_per_dimension: int = 4
    max_slices: int = 16
    atom: float = 0.5
    smooth_rows: int = 2048
    block_sweeps: tuple[int, int] = (5, 16)
    block_moved: float = 0.05
    block_grown: float = 0.02
    spare_columns: int = 8
    most_columns: int = 16

    blur_widths: tuple[float, ...] = (0.4, 0.15, 0.05)
    clumping: bool = True
    clump_patience: int = 2
    clump_hopeless: float = 1.1
    spare_error: float = 1e-4
    exhaustive_orientations: int = 16

    polish: bool = True
    polish_steps: int = 40
    sketch_steps: int = 60
    max_newton: int = 1200
    newton_damping: float = 1e-6
    gradient_damping: float = 1e-11
    anderson_memory: int = 8
    polish_patience: int = 8
    exploded: float = 100.0
    rebuild: float = 1e-2
    precision_goal: float = 1e-2

    far_mean: float = 1e6
    exact_double: float = 1e-10
    exact_single: float = 3e-7

    searched: float = 1.25
    beyond: float = 1.25
    beyond_uneven: float = 1.5
    even: float = 4.0
    usual: float = 3.0
    rows_per_side: float = 2.0
    structure: float = 5.0
    digits: float = 1.05
    wide: int = 8
    wide_step: int = 4
    wide_progress: float = 0.05


DEFAULTS = Settings()
"""The settings of every fit that names none."""
