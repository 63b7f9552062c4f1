"""Other methods that fit ReLU networks, with which the benchmarks compare relunet.

Each method is a function of inputs, labels, the true number k of neurons and a seed. It yields predictors, of which the
last is its result; iterative methods yield one after each epoch, so that their convergence can be plotted. Methods that
are not installed raise ImportError when called.
"""

from __future__ import annotations

import importlib
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from relunet import ReLUNetRegressor, ReLUNetwork

# Loaded before any clock runs.
for _module in (
    "scipy.cluster.hierarchy",
    "scipy.optimize",
    "sklearn.neural_network",
    "torch._dynamo",
    "statsmodels.regression.dimred",
    "scnn.optimize",
):
    with suppress(ImportError):
        importlib.import_module(_module)

Array = NDArray[np.float64]
Predict = Callable[[Array], Array]
Rival = Callable[[Array, Array, int, int], Iterator[Predict]]

WIDE = 64
RESTARTS = 5
BATCH = 256
STUDENTS = 5
# With a mean squared residual below this part of the labels' variance there is nothing left to train: the floor of
# Adam in single precision, and of SciPy's L-BFGS in double.
PERFECT = 1e-14


@dataclass(frozen=True)
class Course:
    """What a rival came to: processor seconds and error after each epoch, or at the end alone."""

    seconds: Array
    errors: Array

    def best(self) -> tuple[float, float]:
        """Return the least error, and the seconds until it was first reached to a tenth."""
        least = float(np.min(self.errors))
        return least, float(self.seconds[np.argmax(self.errors <= 1.1 * least)])


def course(rival: Rival, x: Array, y: Array, k: int, seed: int, fresh_x: Array, fresh_y: Array) -> Course:
    """Run a rival on one thread; the clock stands still while the error on fresh rows is taken.

    The error is the root mean square as part of the standard deviation of the labels there.
    """
    seconds, errors = [0.0], []
    with warnings.catch_warnings(action="ignore"), threadpool_limits(1):
        start = time.process_time()
        for predict in rival(x, y, k, seed):
            seconds.append(seconds[-1] + time.process_time() - start)
            errors.append(float(np.sqrt(np.mean((predict(fresh_x) - fresh_y) ** 2)) / np.std(fresh_y)))
            start = time.process_time()
    return Course(np.array(seconds[1:]), np.array(errors))


def relunet(x: Array, y: Array, k: int, seed: int) -> Iterator[Predict]:
    """Yield relunet's answer; it is not told the number of neurons."""
    yield ReLUNetRegressor(n_jobs=1, random_state=seed).fit(x, y).predict


def adam(width: int | None, restarts: int = 1) -> Rival:
    """Return Adam in PyTorch: batches of 256, a linear part, the rate divided by three whenever five epochs gain < 1 %.

    A `width` of None is that of the planted network. Of several restarts the one with the least loss is the answer.
    """

    def train(x: Array, y: Array, k: int, seed: int) -> Iterator[Predict]:
        import torch

        torch.set_num_threads(1)
        scale = float(np.std(y)) or 1.0
        inputs, labels = (torch.from_numpy(a.astype(np.float32)) for a in (x, y / scale))
        d, hidden = x.shape[1], width or k
        answer: tuple[float, Predict] = (np.inf, np.zeros_like)
        for restart in range(restarts):
            torch.manual_seed(seed * restarts + restart)
            inner, outer, linear = torch.nn.Linear(d, hidden), torch.nn.Linear(hidden, 1), torch.nn.Linear(d, 1, False)

            parameters = [*inner.parameters(), *outer.parameters(), *linear.parameters()]
            rate, best, idle = 1e-2, np.inf, 0
            optimizer = torch.optim.Adam(parameters, lr=rate, fused=True)
            while rate > 1e-6 and best > PERFECT * len(y):
                total = 0.0
                for batch in torch.randperm(len(y)).split(BATCH):
                    optimizer.zero_grad()
                    x_b = inputs[batch]
                    predicted = (outer(torch.relu(inner(x_b))) + linear(x_b)).squeeze(1)
                    loss = torch.nn.functional.mse_loss(predicted, labels[batch])
                    loss.backward()
                    optimizer.step()
                    total += float(loss.detach()) * len(batch)
                idle = 0 if total < 0.99 * best else idle + 1
                best = min(best, total)
                if idle == 5:
                    rate, idle = rate / 3, 0
                    optimizer.param_groups[0]["lr"] = rate
                weights, biases, output, at, skip = (
                    p.detach().numpy().astype(float) for p in (*inner.parameters(), *outer.parameters(), linear.weight)
                )
                network = ReLUNetwork(weights, scale * output[0], biases, scale * skip[0], scale * at[0])
                if total <= answer[0]:
                    answer = total, network.predict
                if restarts == 1:
                    yield network.predict
            if best <= PERFECT * len(y):
                break
        yield answer[1]

    return train


def perceptron(solver: str) -> Rival:
    """Return scikit-learn's MLPRegressor of width 64 with its defaults but for more epochs."""

    def train(x: Array, y: Array, k: int, seed: int) -> Iterator[Predict]:
        from sklearn.neural_network import MLPRegressor

        model = MLPRegressor(
            hidden_layer_sizes=(WIDE,), solver=solver, alpha=0, tol=1e-8, max_iter=500, random_state=seed
        )
        yield model.fit(x, y).predict

    return train


def lbfgs(width: int | None, restarts: int = 1) -> Rival:
    """Return L-BFGS of SciPy on the loss of all rows, whose gradient is NumPy's; widths and restarts as in `adam`."""

    def train(x: Array, y: Array, k: int, seed: int) -> Iterator[Predict]:
        rng = np.random.default_rng(seed)
        answer: tuple[float, Predict] = (np.inf, np.zeros_like)
        for _ in range(restarts):
            loss, network = minimize(x, y, started(rng, x.shape[1], width or k))
            if loss < answer[0]:
                answer = loss, network.predict
            if loss < PERFECT * np.var(y):
                break
        yield answer[1]

    return train


def started(rng: np.random.Generator, d: int, width: int) -> ReLUNetwork:
    """Return random neurons in the usual scale."""
    weights = rng.standard_normal((width, d)) * np.sqrt(2 / d)
    return ReLUNetwork(weights, rng.standard_normal(width) / np.sqrt(width), 0.1 * rng.standard_normal(width))


def minimize(x: Array, y: Array, start: ReLUNetwork, steps: int = 2000) -> tuple[float, ReLUNetwork]:
    """Return the mean squared residual after L-BFGS from a network, and the network."""
    from scipy.optimize import minimize

    (n, d), k = x.shape, start.n_neurons
    scale = float(np.std(y)) or 1.0

    def unpacked(flat: Array) -> tuple[Array, Array, Array, Array, float]:
        weights, biases, output, linear, intercept = np.split(flat, np.cumsum([k * d, k, k, d]))
        return weights.reshape(k, d), biases, output, linear, float(intercept[0])

    def loss(flat: Array) -> tuple[float, Array]:
        weights, biases, output, linear, intercept = unpacked(flat)
        hidden = np.maximum(x @ weights.T + biases, 0)
        residual = (hidden @ output + x @ linear + intercept - y / scale) / n
        back = np.where(hidden > 0, residual[:, None] * output, 0)
        gradient = (back.T @ x).ravel(), back.sum(0), hidden.T @ residual, x.T @ residual, [residual.sum()]
        return n / 2 * float(residual @ residual), np.concatenate(gradient)

    parts = start.weights.ravel(), start.biases, start.output_weights, start.linear, np.array([start.intercept])
    options = {"maxiter": steps, "maxfun": 2 * steps, "ftol": 1e-16, "gtol": 1e-14}
    found = minimize(loss, np.concatenate(parts), jac=True, method="L-BFGS-B", options=options)
    weights, biases, output, linear, intercept = unpacked(found.x)
    return 2 * found.fun * scale**2, ReLUNetwork(weights, scale * output, biases, scale * linear, scale * intercept)


def save(x: Array, y: Array, k: int, seed: int) -> Iterator[Predict]:
    """Yield `perceptron` on k directions of statsmodels' sliced average variance estimation with 20 slices."""
    from statsmodels.regression.dimred import SlicedAverageVarianceEstimation

    directions = np.asarray(SlicedAverageVarianceEstimation(y, x).fit(slice_n=len(y) // 20).params)[:, :k]
    (predict,) = perceptron("adam")(x @ directions, y, k, seed)
    yield lambda fresh: predict(fresh @ directions)


def convex(x: Array, y: Array, k: int, seed: int) -> Iterator[Predict]:
    """Yield scnn's optimum over networks of 500 gated ReLUs, hardly regularised, to which rows get a column of ones.

    The problem with ReLUs proper, of which this is the relaxation, takes its solver minutes for 5000 rows.
    """
    from scnn.optimize import optimize
    from scnn.regularizers import NeuronGL1

    scale = float(np.std(y)) or 1.0
    extended = np.c_[x, np.ones(len(x))]
    model, _ = optimize("gated_relu", 500, extended, y / scale, regularizer=NeuronGL1(1e-6), seed=seed)
    yield lambda fresh: scale * np.asarray(model(np.c_[fresh, np.ones(len(fresh))])).ravel()


def expand_and_cluster(x: Array, y: Array, k: int, seed: int) -> Iterator[Predict]:
    """Run Expand-and-Cluster (Martinelli, Şimşek, Gerstner, Brea, ICML 2024), reimplemented in a few lines.

    Students of four times the width are trained, here by L-BFGS. The neurons of all students are clustered by angle, in
    either orientation. A cluster with neurons of most students becomes one neuron, their mean weighted by size. At most
    the k heaviest clusters are kept, where k is the true number of neurons, and this network is trained again.
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    rng = np.random.default_rng(seed)
    students = [minimize(x, y, started(rng, x.shape[1], 4 * k), 500)[1] for _ in range(STUDENTS)]
    lines = np.concatenate([np.c_[s.weights, s.biases] * s.output_weights[:, None] for s in students])
    sizes = np.linalg.norm(lines, axis=1)
    units = lines / np.maximum(sizes, 1e-300)[:, None]
    owner = np.repeat(np.arange(STUDENTS), 4 * k)
    distances = squareform(1 - np.abs(units @ units.T).clip(0, 1), checks=False)
    labels = fcluster(linkage(distances, "average"), 0.02, "distance")
    heaviest = []
    for label in np.unique(labels):
        of = np.flatnonzero(labels == label)
        if len(np.unique(owner[of])) > STUDENTS / 2:
            signs = np.sign(units[of] @ units[of[np.argmax(sizes[of])]])
            mean = (signs * sizes[of]) @ units[of]
            heaviest.append((sizes[of].sum(), mean / np.linalg.norm(mean)))
    heaviest.sort(key=lambda pair: -pair[0])
    kept = np.array([unit for _, unit in heaviest[:k]]).reshape(-1, x.shape[1] + 1)
    hidden = np.maximum(x @ kept[:, :-1].T + kept[:, -1], 0)
    design = np.c_[hidden, x, np.ones(len(x))]
    output, linear, intercept = np.split(np.linalg.lstsq(design, y, rcond=None)[0], [len(kept), len(kept) + x.shape[1]])
    yield minimize(x, y, ReLUNetwork(kept[:, :-1], output, kept[:, -1], linear, intercept[0]))[1].predict


RIVALS: dict[str, Rival] = {
    "relunet": relunet,
    "Adam": adam(None, RESTARTS),
    f"Adam, {WIDE}": adam(WIDE),
    f"MLPRegressor, {WIDE}": perceptron("adam"),
    "L-BFGS": lbfgs(None, RESTARTS),
    f"L-BFGS, {WIDE}": lbfgs(WIDE),
    "SAVE + MLP": save,
    "scnn": convex,
    "Expand-and-Cluster": expand_and_cluster,
}
"""All by name: those without a width have that of the planted network."""
