"""
Rebuild a trained network from its values
=========================================

A network that someone trained, known only through its predictions, comes back neuron by neuron.
"""

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler

from relunet import ReLUNetRegressor, ReLUNetwork

X, y = load_diabetes(return_X_y=True)
X = StandardScaler().fit_transform(X)
trained = MLPRegressor(hidden_layer_sizes=(6,), max_iter=300, learning_rate_init=0.01, random_state=0)
trained.fit(X, (y - y.mean()) / y.std())

# %%
# Ask it at Gaussian rows of our choice, and fit the answers.

queries = np.random.default_rng(0).standard_normal((20_000, X.shape[1]))
model = ReLUNetRegressor().fit(queries, trained.predict(queries))
print(model.report_.status, "with", model.network_.n_neurons, "neurons")

# %%
# Compare with the network inside, which we are allowed to see here.

inside = ReLUNetwork.from_sklearn(trained)
distance = model.network_.gaussian_distance(inside) / inside.gaussian_norm()
print(f"relative distance as functions: {distance:.0e}")
print("neurons matched:", model.network_.match(inside).permutation)
