"""
Piecewise-linear regression in several variables
================================================

Segmented regression finds the breakpoints of one variable. A ReLU network finds hyperplanes on which the slope changes,
in several variables at once. :doc:`/networks` compares the two.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from relunet import ReLUNetRegressor

rng = np.random.default_rng(0)
X = pd.DataFrame(rng.standard_normal((6_000, 2)), columns=["price", "income"])
y = 1.0 - 0.8 * np.maximum(X["price"] - 0.5 * X["income"] - 0.2, 0) + 0.5 * np.maximum(X["income"] + 0.4, 0)
y = y + 0.05 * rng.standard_normal(len(X))

model = ReLUNetRegressor(n_neurons=2).fit(X, y)
print(model.report_.status)
print(pd.DataFrame(model.network_.hinges()).round(3).to_string())

# %%
# The pieces, and the lines between them.

network = model.network_
axis = np.linspace(-2.5, 2.5, 200)
grid = np.stack(np.meshgrid(axis, axis), axis=-1)
values = network.predict(grid.reshape(-1, 2)).reshape(200, 200)
fig, ax = plt.subplots()
fig.colorbar(ax.contourf(axis, axis, values, levels=15, cmap="viridis"), label="predicted")
for weights, bias in zip(network.weights, network.biases, strict=True):
    ax.contour(axis, axis, grid @ weights + bias, levels=[0], colors="white", linewidths=2)
ax.set(xlabel="price", ylabel="income", title="White: where the slope changes")

# %%
# The fitted function as code.

print(network.to_text("python", digits=4))
