"""
Several outputs over one hidden layer
=====================================

A network with several outputs shares its neurons. They are found from all outputs together, and each output has its own
output weights.
"""

import numpy as np

from relunet import ReLUNetRegressor, ReLUNetwork

rng = np.random.default_rng(0)
teacher = ReLUNetwork(rng.standard_normal((3, 8)), rng.standard_normal((4, 3)), rng.standard_normal(3))
X = rng.standard_normal((5_000, 8))
Y = teacher.predict(X)

model = ReLUNetRegressor(n_neurons=3).fit(X, Y)
print(model.report_.status, "with", model.network_.n_neurons, "neurons for", Y.shape[1], "outputs")
print("relative distance:", model.network_.gaussian_distance(teacher) / teacher.gaussian_norm())

# %%
# With noise, the report holds the risk of each output.

noisy = Y + 0.2 * Y.std(axis=0) * rng.standard_normal(Y.shape)
model = ReLUNetRegressor(n_neurons=3).fit(X, noisy)
print(model.report_)
noise = (0.2 * Y.std(axis=0)) ** 2
print("risk of each output, relative to its noise:", np.round(np.array(model.report_.output_risks) / noise, 3))
