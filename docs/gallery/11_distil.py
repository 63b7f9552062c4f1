"""
Distil a model into the narrowest network
=========================================

``distill`` evaluates a model at Gaussian rows and returns the narrowest network with these values. Hidden units with
the same hyperplane are merged.
"""

import numpy as np

from relunet import ReLUNetwork, distill

rng = np.random.default_rng(0)
few = rng.standard_normal((3, 6))
# A redundant network of 12 neurons, in which four neurons of different sizes share each of three hyperplanes.
sizes = rng.uniform(0.5, 2.0, (4, 3, 1))
wide = ReLUNetwork((sizes * few).reshape(12, 6), rng.uniform(0.2, 1.0, 12))
result = distill(wide, n_features=6)
print(result.report.status, ":", wide.n_neurons, "neurons become", result.network.n_neurons)
print("relative distance:", result.network.gaussian_distance(wide) / wide.gaussian_norm())

# %%
# A model may be any function of arrays. If it is not a ReLU network, the best network of the allowed width is returned.

smooth = distill(lambda X: np.tanh(X[:, 0] + X[:, 1]), n_features=3, n_neurons=2)
print(smooth.report)
