"""
A level fan, against Adam
=========================

Neurons in a plane whose low moments all cancel are the hard case of the papers. A wide network trained with Adam
approximates their sum; relunet returns the neurons.
"""

import time
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor

from relunet import ReLUNetRegressor, teachers

teacher = teachers.level_fan(20, 4, rng=0)
X, y = teacher.sample(10_000, rng=1)
fresh, truth = teacher.sample(5_000, rng=2)


def error(model):
    """RMS error on fresh rows, relative to the standard deviation of the labels."""
    return np.sqrt(np.mean((model.predict(fresh) - truth) ** 2)) / truth.std()


start = time.perf_counter()
found = ReLUNetRegressor().fit(X, y)
seconds = time.perf_counter() - start
print(f"relunet: {found.report_.status}, {found.network_.n_neurons} neurons, error {error(found):.0e}")

wide = MLPRegressor(hidden_layer_sizes=(64,), learning_rate_init=3e-3, max_iter=1, warm_start=True, random_state=0)
history = []
with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)
    start = time.perf_counter()
    for _ in range(30):
        wide.fit(X, y)
        history.append((time.perf_counter() - start, error(wide)))
print(f"Adam, width 64, {len(history)} epochs: error {history[-1][1]:.0e}")

_, ax = plt.subplots()
ax.loglog(*zip(*history, strict=True), label="Adam, width 64, epoch by epoch")
ax.loglog(seconds, error(found), "o", label="relunet")
ax.set(xlabel="seconds", ylabel="relative error on fresh rows")
ax.legend()

# %%
# Times depend on the machine that built this page. :doc:`/benches` compares the two methods on ten families, with a
# tuned rate for Adam and complete training.
