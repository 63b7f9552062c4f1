"""
Neurons that almost coincide, over scales
=========================================

Two neurons with opposite output weights move together, until little more than their difference, a dipole, is left.
Down to an angle of 0.01 the fit is exact. At the smallest angle the search does not succeed, and the status says so.
"""

import matplotlib.pyplot as plt
import numpy as np

from relunet import ReLUNetwork, learn, plots, scan_array

rng = np.random.default_rng(0)
X = rng.standard_normal((10_000, 8))
first, second, other = np.eye(8)[:3]


def teacher(angle):
    """Two neurons of opposite sign at this angle, and one more."""
    near = np.cos(angle) * first + np.sin(angle) * second
    return ReLUNetwork([first, near, other], [1 / angle, -1 / angle, 0.5])


angles = np.logspace(0, -2.5, 6)
errors = []
for angle in angles:
    network = teacher(angle)
    result = learn(scan_array(X, network.predict(X)), n_neurons=3)
    errors.append(result.network.gaussian_distance(network) / network.gaussian_norm())
    print(f"{angle:7.4f} rad: {result.report.status}, {result.network.n_neurons} neurons, error {errors[-1]:.0e}")

_, ax = plt.subplots()
ax.loglog(angles, errors, "o-")
ax.set(xlabel="angle between the two neurons (radians)", ylabel="relative error of the network")

# %%
# The analysis over scales joins the two at a coarse scale, and compares the error with one neuron and with two.

plots.clumps(result.network, result.report)
