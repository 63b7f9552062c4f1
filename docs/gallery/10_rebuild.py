"""
Rebuild a trained network from its values
=========================================

A trained network that is known only through its predictions is recovered neuron by neuron.
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
# The network is evaluated at Gaussian rows, and its values are fitted.

queries = np.random.default_rng(0).standard_normal((20_000, X.shape[1]))
model = ReLUNetRegressor().fit(queries, trained.predict(queries))
print(model.report_.status, "with", model.network_.n_neurons, "neurons")

# %%
# The result is compared with the trained network.

inside = ReLUNetwork.from_sklearn(trained)
distance = model.network_.gaussian_distance(inside) / inside.gaussian_norm()
print(f"relative distance as functions: {distance:.0e}")
print("neurons matched:", model.network_.match(inside).permutation)
