"""
A first fit
===========

Labels made by three neurons in ten dimensions; the regressor is told nothing about them.
"""

import numpy as np

from relunet import ReLUNetRegressor, plots

rng = np.random.default_rng(0)
X = rng.standard_normal((20_000, 10))
weights = rng.standard_normal((3, 10))
y = np.maximum(X @ weights.T - 0.3, 0) @ [2.0, -1.0, 0.5] + 1.0

model = ReLUNetRegressor().fit(X, y)
print(model.report_)

# %%
# The status is "exact": the labels are the network up to rounding. The network also predicts rows it has not seen.

fresh = rng.standard_normal((1000, 10))
truth = np.maximum(fresh @ weights.T - 0.3, 0) @ [2.0, -1.0, 0.5] + 1.0
print("largest error on fresh rows:", np.abs(model.predict(fresh) - truth).max())

# %%
# What the fit saw: three eigenvalues stand over the edge of the bulk, one for each neuron, and the error falls to
# rounding in a few sweeps.

plots.fit_report(model)
