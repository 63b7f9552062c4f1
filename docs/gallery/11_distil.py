"""
Distil a model into the narrowest network
=========================================

``distill`` asks a model for its values at Gaussian rows and returns the narrowest network that has them. Two hidden
units that kink on one hyperplane count once.
"""

import numpy as np

from relunet import ReLUNetwork, distill

rng = np.random.default_rng(0)
few = rng.standard_normal((3, 6))
# A redundant network of 12 neurons: each of three kinks is made by four neurons of different sizes.
sizes = rng.uniform(0.5, 2.0, (4, 3, 1))
wide = ReLUNetwork((sizes * few).reshape(12, 6), rng.uniform(0.2, 1.0, 12))
result = distill(wide, n_features=6)
print(result.report.status, ":", wide.n_neurons, "neurons become", result.network.n_neurons)
print("relative distance:", result.network.gaussian_distance(wide) / wide.gaussian_norm())

# %%
# A model may be any function of arrays. One that is not a ReLU network becomes the best of the width that is allowed.

smooth = distill(lambda X: np.tanh(X[:, 0] + X[:, 1]), n_features=3, n_neurons=2)
print(smooth.report)
