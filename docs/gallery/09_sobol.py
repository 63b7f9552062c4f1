"""
Which inputs matter: Sobol indices of a surrogate
=================================================

A network fitted to a simulator has its sensitivity indices in closed form under independent Gaussian inputs. Nothing is
sampled a second time.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from relunet import ReLUNetRegressor

rng = np.random.default_rng(0)
names = ["load", "span", "depth", "width", "age"]
X = pd.DataFrame(rng.standard_normal((10_000, 5)), columns=names)


def simulator(x):
    """A response with two thresholds, an interaction and an input that does nothing."""
    return 2 * np.maximum(x["load"] + 0.6 * x["span"] - 0.5, 0) - np.maximum(x["depth"], 0) + 0.3 * x["width"]


model = ReLUNetRegressor().fit(X, simulator(X))
print(model.report_.status, "with", model.network_.n_neurons, "neurons")
indices = model.network_.sobol_indices()

_, ax = plt.subplots()
place = np.arange(5)
ax.bar(place - 0.2, indices.first, 0.4, label="first order")
ax.bar(place + 0.2, indices.total, 0.4, label="total")
ax.set_xticks(place, indices.names)
ax.set(ylabel="part of the variance")
ax.legend()

# %%
# A check by sampling: the first-order index of ``load`` is the variance of the conditional mean.

grid = rng.standard_normal(20_000)
effect = model.network_.conditional_mean("load", grid)
print(f"closed form {indices.first[0]:.4f}, sampled {np.var(effect) / indices.variance:.4f}")
