"""The accumulators against plain NumPy twins and exact identities, in every split, source and number of threads."""

from __future__ import annotations

import copy
import doctest
import itertools
import math
import os
import pickle
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.polynomial.hermite_e import hermegauss, hermeval
from numpy.polynomial.legendre import leggauss

from relunet import ArgumentError, DataError, ReLUNetwork, moments, scan_array, scan_npy
from relunet._relunet import sweep
from relunet.moments import (
    Accumulator,
    ContractionMoments,
    CurvatureMoments,
    GradientMoments,
    InputMoments,
    RiskMoments,
    RowSample,
    SketchMoments,
    SliceMoments,
)

Array = np.ndarray[Any, np.dtype[Any]]

DEGREES = (2, 3, 4, 7)
EDGES = (-0.5, 0.0, 1.0)
VALUES = ((1.0, -2.0), (1.0, 0.0), (1.0, 0.5), (1.0, 3.0))
HALF = 2**63


def network(d: int, k: int = 3, seed: int = 7) -> ReLUNetwork:
    rng = np.random.default_rng([seed, d, k])
    weights, linear = rng.standard_normal((k, d)) / math.sqrt(d), rng.standard_normal(d)
    return ReLUNetwork(weights, rng.standard_normal(k), rng.standard_normal(k), linear, 0.3)


def directions(d: int, m: int = 2) -> Array:
    g = np.random.default_rng([11, d]).standard_normal((m, d))
    return g / np.linalg.norm(g, axis=1, keepdims=True)


def data(n: int, d: int, seed: int = 0) -> tuple[Array, Array, Array]:
    """Inputs, labels with ties, weights with zeros."""
    rng = np.random.default_rng([seed, n, d])
    return rng.standard_normal((n, d)), np.round(2 * rng.standard_normal(n)) / 2, rng.integers(0, 4, n) / 2


KINDS: dict[str, Callable[[int], Accumulator]] = {
    "input": InputMoments,
    "contraction": lambda d: ContractionMoments(d, directions(d), DEGREES),
    "residual contraction": lambda d: ContractionMoments(d, directions(d)[0], DEGREES, network(d)),
    "slice": lambda d: SliceMoments(d, EDGES),
    "residual slice": lambda d: SliceMoments(d, EDGES, network(d)),
    "gradient": lambda d: GradientMoments(network(d)),
    "curvature": lambda d: CurvatureMoments(network(d)),
    "risk": lambda d: RiskMoments(network(d)),
    "rows": lambda d: RowSample(d, HALF, 5),
    "projected rows": lambda d: RowSample(d, HALF, 5, directions(d)),
    "sketch": lambda d: SketchMoments(d, directions(d, 11), EDGES, VALUES),
    "residual sketch": lambda d: SketchMoments(d, directions(d, 2), EDGES, VALUES, network(d)),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def facts(accumulator: Accumulator) -> dict[str, Array]:
    """All that an accumulator tells."""
    match accumulator:
        case InputMoments():
            names = ["weight", "mean", "cov", "label_mean", "label_var", "label_cov"]
        case ContractionMoments():
            return {f"degree {degree}": value for degree, value in accumulator.contractions().items()}
        case SliceMoments():
            names = ["weights", "vectors", "grams"]
        case GradientMoments():
            names = ["risk", "gradient"]
        case CurvatureMoments():
            names = ["normal_matrix"]
        case RiskMoments():
            names = ["weight", "risk", "risk_variance", "largest_residual"]
        case SketchMoments():
            names = ["weights", "vectors", "products", "squares"]
        case RowSample():
            return dict(zip(["hashes", "x", "y", "weight"], accumulator.rows(), strict=True))
        case _:
            raise AssertionError(accumulator)
    return {name: np.asarray(getattr(accumulator, name)) for name in names}


def assert_same_facts(accumulator: Accumulator, expected: dict[str, Array], tolerance: float = 1e-12) -> None:
    told = facts(accumulator)
    assert told.keys() == expected.keys()
    for name, value in expected.items():
        scale = max(1.0, float(np.max(np.abs(value), initial=0.0)))
        np.testing.assert_allclose(told[name], value, rtol=0, atol=tolerance * scale, err_msg=name)


def hermite(n: int, t: Array) -> Array:
    return hermeval(t, [0] * n + [1]) if n >= 0 else np.zeros_like(t)


def value_of(f: ReLUNetwork, X: Array) -> Array:
    return f.intercept + X @ f.linear + np.maximum(X @ f.weights.T + f.biases, 0) @ f.output_weights


def twin(kind: str, X: Array, y: Array, w: Array) -> dict[str, Array]:
    """What the accumulators of KINDS compute, in NumPy."""
    d, total = X.shape[1], w.sum()
    f = network(d)
    residual = y - value_of(f, X)
    on = np.column_stack([X @ f.weights.T + f.biases > 0, np.ones(len(X))])
    extended = np.column_stack([X, np.ones(len(X))])
    if kind == "input":
        columns = np.column_stack([X, y])
        mean = w @ columns / total
        cov = (w[:, None] * (columns - mean)).T @ (columns - mean) / total
        told = [total, mean[:-1], cov[:-1, :-1], mean[-1], cov[-1, -1], cov[-1, :-1]]
        return dict(zip(["weight", "mean", "cov", "label_mean", "label_var", "label_cov"], told, strict=True))
    if kind.endswith("contraction"):
        label = w * (residual if kind.startswith("residual") else y) / total
        told = {}
        for degree in DEGREES:
            each = [contraction(X, label, g, degree) for g in directions(d)]
            told[f"degree {degree}"] = each[0] if kind.startswith("residual") else np.array(each)
        return told
    if kind.endswith("slice"):
        place = np.searchsorted(EDGES, residual if kind.startswith("residual") else y, side="right")
        weights = [w * (place == h) for h in range(len(EDGES) + 1)]
        told = [[v.sum() for v in weights], [v @ X for v in weights], [(v[:, None] * X).T @ X for v in weights]]
        return dict(zip(["weights", "vectors", "grams"], map(np.array, told), strict=True))
    if kind.endswith("sketch"):
        label, v = (residual, directions(d, 2)) if kind.startswith("residual") else (y, directions(d, 11))
        weights = w * np.array(VALUES)[np.searchsorted(EDGES, label, side="right")].T
        products = np.array([(weight[:, None] * (X @ v.T)).T @ X for weight in weights])
        return {"weights": weights.sum(axis=1), "vectors": weights @ X, "products": products, "squares": w @ X**2}
    if kind == "gradient":
        gradient = (on * (w * residual)[:, None]).T @ extended / total
        return {"risk": w @ residual**2 / total, "gradient": gradient}
    if kind == "curvature":
        jacobian = (on[:, :, None] * extended[:, None, :]).reshape(len(X), -1)
        return {"normal_matrix": (w[:, None] * jacobian).T @ jacobian / total}
    if kind == "risk":
        risk = w @ residual**2 / total
        variance = w**2 @ (residual**2 - risk) ** 2 / total**2
        largest = np.abs(residual[w > 0]).max()
        return {"weight": total, "risk": risk, "risk_variance": variance, "largest_residual": largest}
    raise AssertionError(kind)


def contraction(X: Array, label: Array, g: Array, degree: int) -> Array:
    """Σ label H_l(x)[g,..,g,:,:] by the formula."""
    t, eye, j = X @ g, np.eye(len(g)), degree - 2
    top, middle, low = (label * hermite(n, t) for n in (j, j - 1, j - 2))
    cross = np.outer(g, middle @ X)
    matrix = (top[:, None] * X).T @ X - top.sum() * eye
    return matrix - j * (cross + cross.T) + j * (j - 1) * low.sum() * np.outer(g, g)


class TestTwins:
    @pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.endswith("rows")])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("d", [1, 3, 17, 63])
    @pytest.mark.parametrize("n", [1, 7, 301])
    def test_agree(self, kind, dtype, d, n):
        X, y, w = data(n, d)
        X, y, w = X.astype(dtype), y.astype(dtype), w.astype(dtype)
        w[0] = 1.0
        raw, weighted = KINDS[kind](d), KINDS[kind](d)
        raw.update(X, y)
        weighted.update(X, y, w)
        X, y, w = (values.astype(np.float64) for values in (X, y, w))
        assert_same_facts(raw, twin(kind, X, y, np.ones(n)), 3e-12)
        assert_same_facts(weighted, twin(kind, X, y, w), 3e-12)
        assert raw.n_rows == weighted.n_rows == n
        assert raw.n_features == d

    @every_kind
    def test_weights_are_repetitions(self, kind):
        X, y, w = data(50, 5)
        w = (2 * w).astype(int)
        weighted, repeated = KINDS[kind](5), KINDS[kind](5)
        weighted.update(X, y, w)
        repeated.update(np.repeat(X, w, axis=0), np.repeat(y, w))
        if kind.endswith("rows"):
            hashes, _, _, weight = weighted.rows()
            np.testing.assert_array_equal(np.repeat(hashes, weight.astype(int)), repeated.rows()[0])
            return
        told, expected = facts(weighted), facts(repeated)
        # rows that are repeated tell less than as many rows that are not
        assert told.pop("risk_variance", 1.0) >= expected.pop("risk_variance", 1.0)
        for name, value in expected.items():
            np.testing.assert_allclose(told[name], value, rtol=0, atol=1e-12, err_msg=name)

    def test_covariance_does_not_cancel_for_far_means(self):
        X, y, _ = data(1000, 4)
        X = np.round(X * 64) / 64
        near, far = InputMoments(4), InputMoments(4)
        near.update(X, y)
        for part in np.split(np.arange(1000), [100, 300]):
            far.update(X[part] + 2.0**30, y[part])
        np.testing.assert_allclose(far.cov, near.cov, rtol=0, atol=1e-6)
        np.testing.assert_allclose(far.mean - 2.0**30, near.mean, rtol=0, atol=1e-6)

    def test_inputs_alone_have_label_zero(self):
        accumulator = InputMoments(2)
        accumulator.update([[1, 2], [3, 4]])
        assert accumulator.label_mean == accumulator.label_var == 0.0
        np.testing.assert_array_equal(accumulator.mean, [2, 3])


class TestHermiteTensors:
    @pytest.mark.parametrize("d", [1, 2, 3, 5])
    @pytest.mark.parametrize("residual", [False, True])
    def test_contractions_are_those_of_the_explicit_tensor(self, d, residual):
        X, y, w = data(4, d)
        w += 0.5
        f = network(d) if residual else None
        degrees = range(2, 9)
        many = ContractionMoments(d, directions(d, 3), degrees, f)
        many.update(X, y, w)
        label = w * (y - value_of(f, X) if f else y) / w.sum()
        for degree in degrees:
            tensor = sum(c * hermite_tensor(x, degree) for c, x in zip(label, X, strict=True))
            for i, g in enumerate(directions(d, 3)):
                contracted = tensor
                for _ in range(degree - 2):
                    contracted = contracted @ g
                size = max(1.0, np.abs(tensor).max())
                np.testing.assert_allclose(many.contractions()[degree][i], contracted, rtol=0, atol=1e-12 * size)

    @pytest.mark.parametrize("bias", [0.0, 0.7, -1.3])
    @pytest.mark.parametrize("f", [None, network(3)])
    def test_relu_has_one_matrix_a_degree(self, bias, f):
        """E[relu(u·x + b) H_l(x)] = φ(b) He_{l-2}(-b) u^{⊗l}, exactly, by a quadrature rule as weighted rows."""
        u, g = directions(3, 2)
        X, w = quadrature(u, -bias)
        accumulator = ContractionMoments(3, [g, u], range(2, 9), f)
        accumulator.update(X, np.maximum(X @ u + bias, 0) + (f.predict(X) if f else 0.0), w)
        density = math.exp(-(bias**2) / 2) / math.sqrt(2 * math.pi)
        for degree, both in accumulator.contractions().items():
            kappa = density * hermite(degree - 2, np.array(-bias))
            scale = math.sqrt(math.factorial(degree))
            for direction, matrix in zip([g, u], both, strict=True):
                expected = kappa * (u @ direction) ** (degree - 2) * np.outer(u, u)
                np.testing.assert_allclose(matrix, expected, rtol=0, atol=1e-12 * scale, err_msg=str(degree))

    @pytest.mark.parametrize("degrees", [(2, 4, 6, 8), (8, 6, 4), (5, 3, 7), (9, 6, 5, 2), (4, 7, 10)])
    def test_degrees_together_are_those_alone(self, degrees):
        """Sums of one degree stand in for those of another; alone, every degree has its own."""
        X, y, w = data(500, 9)
        together = ContractionMoments(9, directions(9, 3), degrees)
        together.update(X[:200], y[:200], w[:200])
        together = ContractionMoments.from_bytes(together.to_bytes())
        together.update(X[200:], y[200:], w[200:])
        for degree in degrees:
            alone = ContractionMoments(9, directions(9, 3), [degree])
            alone.update(X, y, w)
            expected = alone.contractions()[degree]
            size = np.abs(expected).max()
            np.testing.assert_allclose(together.contractions()[degree], expected, rtol=0, atol=1e-12 * size)

    def test_matrices_are_divided_by_the_coefficient(self):
        u, g = directions(3, 2)
        X, w = quadrature(u, 0.0)
        accumulator = ContractionMoments(3, g, (2, 4, 8))
        accumulator.update(X, 3 * np.maximum(X @ u, 0), w)
        for degree, matrix in accumulator.matrices().items():
            np.testing.assert_allclose(matrix, 3 * (u @ g) ** (degree - 2) * np.outer(u, u), rtol=0, atol=1e-11)

    def test_matrices_of_odd_degrees_do_not_exist(self):
        accumulator = ContractionMoments(2, [1, 0], (2, 3))
        accumulator.update([[1.0, 2.0]], [1.0])
        with pytest.raises(ArgumentError, match="degree 3"):
            accumulator.matrices()


def hermite_tensor(x: Array, degree: int) -> Array:
    """H_l(x), whose entry at (i_1, .., i_l) is the product over j of He_{n_j}(x_j), j being named n_j times."""
    d = len(x)
    index = np.indices((d,) * degree).reshape(degree, -1)
    table = np.array([hermite(n, x) for n in range(degree + 1)])
    entries = np.prod([table[(index == j).sum(axis=0), j] for j in range(d)], axis=0)
    return entries.reshape((d,) * degree)


def quadrature(u: Array, kink: float) -> tuple[Array, Array]:
    """Nodes and weights of N(0, I_3), exact for polynomials of u·x that change at `kink`, times polynomials across."""
    nodes, weights = leggauss(20)
    edges = np.concatenate([np.linspace(-14, kink, 25), np.linspace(kink, 14, 25)[1:]])
    along = ((edges[1:] + edges[:-1])[:, None] + np.diff(edges)[:, None] * nodes).ravel() / 2
    mass = (np.diff(edges)[:, None] / 2 * weights).ravel() * np.exp(-(along**2) / 2) / math.sqrt(2 * math.pi)
    across, across_mass = hermegauss(7)
    across_mass = across_mass / across_mass.sum()
    frame = np.linalg.svd(u[None, :])[2]
    frame[0] = u
    X = np.array(list(itertools.product(along, across, across))) @ frame
    return X, np.multiply.outer(np.multiply.outer(mass, across_mass), across_mass).ravel()


class TestMerge:
    @every_kind
    @settings(max_examples=20, deadline=None)
    @given(cuts=st.lists(st.integers(0, 60), max_size=5), order=st.randoms(use_true_random=False), d=st.integers(1, 12))
    @example(cuts=[], order=None, d=9)
    @example(cuts=[0, 60, 60], order=None, d=8)
    def test_every_split_and_order_gives_the_same(self, kind, cuts, order, d):
        X, y, w = data(60, d)
        whole = KINDS[kind](d)
        whole.update(X, y, w)
        parts = []
        for rows in np.split(np.arange(60), sorted(cuts)):
            part = KINDS[kind](d)
            part.update(X[rows], y[rows], w[rows])
            parts.append(type(part).from_bytes(part.to_bytes()))
        while len(parts) > 1:
            if order:
                order.shuffle(parts)
            first, second = parts.pop(), parts.pop()
            total = first + second
            first.merge(second)
            assert first.to_bytes() == total.to_bytes()
            parts.insert(0, first)
        assert parts[0].n_rows == 60
        assert_same_facts(parts[0], facts(whole))

    @every_kind
    def test_with_itself_doubles_the_rows(self, kind):
        X, y, _ = data(20, 3)
        once, twice = KINDS[kind](3), KINDS[kind](3)
        once.update(X, y)
        once.merge(once)
        twice.update(np.concatenate([X, X]), np.concatenate([y, y]))
        assert once.n_rows == 40
        assert_same_facts(once, facts(twice))
        assert (once + once).n_rows == 80

    @every_kind
    def test_with_nothing_changes_nothing(self, kind):
        X, y, _ = data(20, 3)
        accumulator = KINDS[kind](3)
        accumulator.update(X, y)
        before = accumulator.to_bytes()
        accumulator.update(np.empty((0, 3)), np.empty(0))
        accumulator.update([], [])
        accumulator.update([])
        accumulator.merge(KINDS[kind](3))
        assert accumulator.to_bytes() == before

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (InputMoments(2), InputMoments(3)),
            (InputMoments(2), RowSample(2, HALF, 0)),
            (RowSample(2, HALF, 0), RowSample(2, HALF, 1)),
            (RowSample(2, HALF, 0), RowSample(2, HALF - 1, 0)),
            (SliceMoments(2, [0.0]), SliceMoments(2, [0.5])),
            (SliceMoments(2, [0.0]), SliceMoments(2, [0.0], network(2))),
            (ContractionMoments(2, [1, 0], [2]), ContractionMoments(2, [0, 1], [2])),
            (ContractionMoments(2, [1, 0], [2]), ContractionMoments(2, [1, 0], [2, 4])),
            (ContractionMoments(2, [1, 0], [2], network(2)), ContractionMoments(2, [1, 0], [2], network(2, seed=8))),
            (RiskMoments(network(2)), RiskMoments(network(2, seed=8))),
            (RiskMoments(network(2)), GradientMoments(network(2))),
            (GradientMoments(network(2)), GradientMoments(network(2, k=2))),
            (CurvatureMoments(network(2)), CurvatureMoments(network(2, seed=8))),
        ],
    )
    def test_refuses_other_configurations(self, one, other):
        for a, b in [(one, other), (other, one)]:
            before = a.to_bytes()
            with pytest.raises(ArgumentError, match="^other: expected "):
                a.merge(b)
            with pytest.raises(ArgumentError, match=type(a).__name__):
                a + b
            assert a.to_bytes() == before


def sealed(body: bytes) -> bytes:
    """The stored form with the checksum of its body put right."""
    total = 0xCBF29CE484222325
    for at in range(0, len(body), 8):
        total = (total ^ int.from_bytes(body[at : at + 8], "little")) * 0x100000001B3 % 2**64
        total = (total << 23 | total >> 41) % 2**64
    return body + total.to_bytes(8, "little")


class TestBytes:
    @every_kind
    def test_round_trips(self, kind):
        X, y, w = data(30, 4)
        accumulator = KINDS[kind](4)
        accumulator.update(X, y, w)
        stored = accumulator.to_bytes()
        copies = [Accumulator.from_bytes(stored), type(accumulator).from_bytes(stored), copy.copy(accumulator)]
        copies += [copy.deepcopy(accumulator), pickle.loads(pickle.dumps(accumulator))]
        for other in copies:
            assert type(other) is type(accumulator)
            assert other.to_bytes() == stored
            other.update(X, y)
            assert other.n_rows == 60
        assert accumulator.to_bytes() == stored, "copies are independent"
        assert sealed(stored[:-8]) == stored

    @every_kind
    def test_every_damage_is_seen(self, kind):
        accumulator = KINDS[kind](1)
        accumulator.update([[0.5], [-0.5]], [1.0, 2.0])
        stored = accumulator.to_bytes()
        damaged = [stored[:length] for length in range(len(stored))] + [stored + b"\0", stored + stored]
        damaged += [
            stored[:at] + bytes([stored[at] ^ flip]) + stored[at + 1 :]
            for at in range(len(stored))
            for flip in (0x01, 0x80, 0xFF)
        ]
        for data in damaged:
            with pytest.raises(ArgumentError, match="^data: "):
                Accumulator.from_bytes(data)

    @every_kind
    def test_forged_sizes_are_refused(self, kind):
        """Any word replaced and the checksum put right: another accumulator or an ArgumentError, never a crash."""
        accumulator = KINDS[kind](2)
        accumulator.update([[0.5, 1.0], [-0.5, 2.0]], [1.0, 2.0])
        body = accumulator.to_bytes()[:-8]
        refused = 0
        for at, word in itertools.product(range(16, len(body), 8), [0, 1, 2**20, 2**32, 2**61, 2**63, 2**64 - 1]):
            forged = sealed(body[:at] + word.to_bytes(8, "little") + body[at + 8 :])
            try:
                read = Accumulator.from_bytes(forged)
            except ArgumentError:
                refused += 1
            else:
                assert type(read) is type(accumulator)
                facts(read)
        assert refused > 5

    def test_other_kinds_and_versions_are_named(self):
        stored = InputMoments(2).to_bytes()
        with pytest.raises(ArgumentError, match="expected a stored RowSample, got InputMoments"):
            RowSample.from_bytes(stored)
        with pytest.raises(ArgumentError, match="format version 4, expected 3"):
            Accumulator.from_bytes(sealed(stored[:8] + (4).to_bytes(4, "little") + stored[12:-8]))
        with pytest.raises(ArgumentError, match="unknown kind 99"):
            Accumulator.from_bytes(sealed(stored[:12] + (99).to_bytes(4, "little") + stored[16:-8]))
        with pytest.raises(ArgumentError, match="not a stored accumulator"):
            Accumulator.from_bytes(b"PAR1" * 20)


class TestRowSample:
    def rows_of(self, X, y=None, seed=0, threshold=HALF):
        sample = RowSample(X.shape[1], threshold, seed)
        sample.update(X, y)
        return sample.rows()

    @settings(max_examples=20, deadline=None)
    @given(order=st.permutations(range(40)), cut=st.integers(0, 40))
    def test_order_and_split_do_not_matter(self, order, cut):
        X, y, _ = data(40, 3)
        expected = self.rows_of(X, y)
        sample, rest = RowSample(3, HALF, 0), RowSample(3, HALF, 0)
        sample.update(X[order[:cut]], y[order[:cut]])
        rest.update(X[order[cut:]], y[order[cut:]])
        for told, value in zip((rest + sample).rows(), expected, strict=True):
            np.testing.assert_array_equal(told, value)

    @pytest.mark.parametrize("fraction", [0.0, 0.01, 0.3, 1.0])
    def test_chooses_the_fraction(self, fraction):
        X, y, _ = data(20_000, 2)
        threshold = min(int(fraction * 2**64), 2**64 - 1)
        hashes, x, _, weight = self.rows_of(X, y, threshold=threshold)
        spread = 6 * math.sqrt(len(X) * fraction * (1 - fraction))
        assert abs(len(hashes) - fraction * len(X)) <= spread
        assert (hashes <= threshold).all()
        assert (np.diff(hashes.astype(object)) > 0).all()
        assert (weight == 1).all()
        chosen = {tuple(row) for row in x}
        assert chosen <= {tuple(row) for row in X}
        assert len(chosen) == len(x)

    def test_seeds_choose_independently(self):
        X, y, _ = data(20_000, 2)
        one, other = ({tuple(row) for row in self.rows_of(X, y, seed=seed)[1]} for seed in (0, 1))
        both = len(one & other)
        assert abs(both - len(X) / 4) < 6 * math.sqrt(len(X) * 3 / 16)

    def test_projections_are_those_of_the_same_rows(self):
        X, y, w = data(300, 17)
        v = directions(17, 9)
        whole, projected, none = RowSample(17, HALF, 0), RowSample(17, HALF, 0, v), RowSample(17, HALF, 0, v[:0])
        for sample in (whole, projected, none):
            sample.update(X, y, w)
        hashes, x, *others = whole.rows()
        for sample, expected in ((projected, x @ v.T), (none, np.zeros((len(x), 0)))):
            told = sample.rows()
            np.testing.assert_array_equal(told[0], hashes)
            np.testing.assert_allclose(told[1], expected, rtol=0, atol=1e-12)
            for value, other in zip(told[2:], others, strict=True):
                np.testing.assert_array_equal(value, other)

    def test_hash_is_one_of_values(self):
        X, y, _ = data(200, 3)
        X = np.round(X)
        single = self.rows_of(X.astype(np.float32), y)
        negative = self.rows_of(np.where(X == 0, -0.0, X), y)
        for value, other, same in zip(self.rows_of(X, y), single, negative, strict=True):
            np.testing.assert_array_equal(value, other)
            np.testing.assert_array_equal(value, same)
        assert not np.array_equal(self.rows_of(X, y)[0], self.rows_of(X, y + 1)[0])


class TestSameBits:
    def test_threads_sources_and_layouts(self, tmp_path):
        n, d = 7001, 63  # four blocks
        X, y, w = data(n, d)
        paths = [tmp_path / f"{name}.npy" for name in ("x", "y", "w", "fortran", "table")]
        for path, array in zip(paths, [X, y, w, np.asfortranarray(X), np.column_stack([w, X, y])], strict=True):
            np.save(path, array)
        room = np.zeros((2 * n, d + 5))
        room[::2, 5:] = X
        samples = [
            scan_array(X, y, w),
            scan_array(np.asfortranarray(X), y, w),
            scan_array(room[::2, 5:], y, w),
            scan_npy(paths[0], paths[1], weight=paths[2]),
            scan_npy(paths[3], paths[1], weight=paths[2]),
            scan_npy(paths[4], target=-1, weight=0),
        ]
        expected = self.bits(samples[0], 1)
        alone = KINDS["gradient"](d)
        sweep(samples[0].source, [alone])
        assert alone.to_bytes() in expected, "accumulators do not see each other"
        alone = KINDS["gradient"](d)
        alone.update(X, y, w)
        assert alone.to_bytes() in expected, "an update is a sweep"
        for each, threads in itertools.product(samples, [1, 2, 3, None]):
            assert self.bits(each, threads) == expected, (each, threads)

    def bits(self, samples, n_threads):
        accumulators = [make(samples.n_columns) for make in KINDS.values()]
        sweep(samples.source, accumulators, n_threads=n_threads)
        return [accumulator.to_bytes() for accumulator in accumulators]

    def test_thread_variables(self):
        script = textwrap.dedent("""
            import hashlib
            import sys
            sys.path.insert(0, sys.argv[1])
            from test_moments import KINDS, data
            digest = hashlib.sha256()
            X, y, w = data(5000, 40)
            for make in KINDS.values():
                accumulator = make(40)
                accumulator.update(X, y, w)
                digest.update(accumulator.to_bytes())
            print(digest.hexdigest())
        """)
        digests = set()
        for threads in "123":
            variables = dict.fromkeys(["RAYON_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"], threads)
            command = [sys.executable, "-c", script, str(Path(__file__).parent)]
            result = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=True)
            digests.add(result.stdout)
        assert len(digests) == 1


class TestInterruption:
    """A sweep over more rows than any machine gets through, in an array that takes no memory."""

    ROWS = 10**13

    def endless(self):
        X, y = np.broadcast_to(1.0, (self.ROWS, 3)), np.broadcast_to(1.0, self.ROWS)
        return scan_array(X, y)

    def test_by_an_exception_of_the_progress_callback(self):
        class EnoughError(Exception):
            pass

        told = []

        def progress(rows):
            told.append(rows)
            if len(told) == 2:
                raise EnoughError

        accumulators = [make(3) for kind, make in KINDS.items() if kind != "rows"]
        for accumulator in accumulators:
            accumulator.update(*data(9, 3))
        before = [accumulator.to_bytes() for accumulator in accumulators]
        with pytest.raises(EnoughError):
            sweep(self.endless().source, accumulators, progress=progress)
        assert [accumulator.to_bytes() for accumulator in accumulators] == before
        assert told == sorted(told)
        assert 0 < told[-1] < self.ROWS

    @pytest.mark.skipif(os.name == "nt", reason="no SIGINT for other processes")
    @pytest.mark.parametrize("call", ["sweep(samples.source, [moments], progress=tell)", "moments.update(X, y)"])
    def test_by_the_keyboard(self, call):
        script = textwrap.dedent(f"""
            import numpy as np
            from relunet import scan_array
            from relunet._relunet import sweep
            from relunet.moments import InputMoments
            def tell(rows):
                print("ready", flush=True)
            X, y = np.broadcast_to(1.0, ({self.ROWS}, 3)), np.broadcast_to(1.0, {self.ROWS})
            samples, moments = scan_array(X, y), InputMoments(3)
            moments.update([[1.0, 2.0, 3.0]])
            before = moments.to_bytes()
            try:
                tell(0)
                {call}
            except KeyboardInterrupt:
                print("interrupted", moments.to_bytes() == before, flush=True)
                moments.update([[1.0, 2.0, 3.0]])
                print(moments.n_rows, flush=True)
        """)
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as child:
            try:
                assert child.stdout is not None
                assert child.stdout.readline() == "ready\n"
                if "progress" in call:
                    assert child.stdout.readline() == "ready\n", "told from within the sweep"
                child.send_signal(signal.SIGINT)
                output, _ = child.communicate(timeout=60)
            finally:
                child.kill()
        assert output.replace("ready\n", "").splitlines() == ["interrupted True", "2"]


class TestBadInput:
    @every_kind
    def test_missing_labels_are_named(self, kind):
        accumulator = KINDS[kind](2)
        before = accumulator.to_bytes()
        if kind in ("input", "curvature", "rows", "projected rows"):
            accumulator.update([[1.0, 2.0]])
            assert accumulator.n_rows == 1
            return
        name = type(accumulator).__name__
        with pytest.raises(ArgumentError, match=f"^y: {name} needs labels"):
            accumulator.update([[1.0, 2.0]])
        with pytest.raises(ArgumentError, match=f"^y: {name} needs labels"):
            sweep(scan_array([[1.0, 2.0]]).source, [accumulator])
        assert accumulator.to_bytes() == before

    @every_kind
    def test_refused_rows_leave_no_trace(self, kind):
        X, y, w = data(9000, 2)
        accumulator = KINDS[kind](2)
        accumulator.update(X, y, w)
        before = accumulator.to_bytes()
        for bad in (np.nan, np.inf):
            X[8888, 1] = bad
            with pytest.raises(DataError, match="row 8888, column 1"):
                accumulator.update(X, y, w)
        for columns in (1, 3):
            with pytest.raises(ArgumentError, match=f"^X: expected 2 columns, got {columns}"):
                accumulator.update(np.ones((5, columns)), np.ones(5))
        for arguments in [(X[:5], y[:4]), (X[:5], y[:5], w[:4]), (X[:0], y[:5]), (1.0, 2.0), (X[:5, 0], y[:5])]:
            with pytest.raises(DataError):
                accumulator.update(*arguments)
        assert accumulator.to_bytes() == before

    @pytest.mark.parametrize(
        ("make", "argument"),
        [
            (lambda: InputMoments(0), "n_features"),
            (lambda: InputMoments(-1), "n_features"),
            (lambda: InputMoments(2.5), "n_features"),
            (lambda: InputMoments(2**40), "n_features"),
            (lambda: InputMoments(2**64), "n_features"),
            (lambda: RowSample(2, 2**64, 0), "threshold"),
            (lambda: RowSample(2, 0, -1), "seed"),
            (lambda: RowSample(0, 1, 1), "n_features"),
            (lambda: SliceMoments(2**31, [0.0]), "n_features"),
            (lambda: SliceMoments(2, [0.0, 0.0]), "edges"),
            (lambda: SliceMoments(2, [np.nan]), "edges"),
            (lambda: SliceMoments(2, [0.0], network(3)), "network"),
            (lambda: ContractionMoments(2, [1.0, 1.0], [2]), "directions"),
            (lambda: ContractionMoments(2, [np.nan, 1.0], [2]), "directions"),
            (lambda: ContractionMoments(2, [1.0, 0.0, 0.0], [2]), "directions"),
            (lambda: ContractionMoments(2, np.ones((1, 1, 2)), [2]), "directions"),
            (lambda: ContractionMoments(2, [1.0, 0.0], [1]), "degrees"),
            (lambda: ContractionMoments(2, [1.0, 0.0], [-2]), "degrees"),
            (lambda: ContractionMoments(2, [1.0, 0.0], [65]), "degrees"),
            (lambda: ContractionMoments(2, [1.0, 0.0], [2, 2]), "degrees"),
            (lambda: ContractionMoments(2, [1.0, 0.0], [2], network(3)), "network"),
            (lambda: RiskMoments(ReLUNetwork([[1.0]], [[1.0], [2.0]])), "network"),
        ],
    )
    def test_arguments_are_named(self, make, argument):
        with pytest.raises(ArgumentError, match=f"^{argument}: "):
            make()


@pytest.mark.parametrize("name", moments.__all__)
def test_documentation_is_right(name):
    """Doctests of compiled classes, which pytest does not collect."""
    found = doctest.DocTestFinder().find(getattr(moments, name), name, module=moments, globs={})
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert any(test.examples for test in found)
    report: list[str] = []
    for test in found:
        runner.run(test, out=report.append)
    assert not runner.failures, "".join(report)


class TestPrecision:
    @settings(max_examples=30)
    @given(n=st.integers(1, 700), d=st.integers(1, 40), exponent=st.integers(-40, 40), seed=st.integers(0, 1000))
    def test_mixed_sums_are_within_their_bound(self, n: int, d: int, exponent: int, seed: int):
        X, y, weight = data(n, d, seed)
        X *= 2.0**exponent
        mixed = SliceMoments(d, EDGES, precision="mixed")
        mixed.update(X, y, weight)
        for h, (low, high) in enumerate(itertools.pairwise((-np.inf, *EDGES, np.inf))):
            here = (low <= y) & (y < high)
            rows, w = X[here], weight[here]
            size = np.abs(rows).T @ (w[:, None] * np.abs(rows))
            error = np.abs(mixed.grams[h] - rows.T @ (w[:, None] * rows))
            assert np.all(error <= (131 * 2.0**-24 + 1e-12) * size + n * 2.0**-126)
            assert mixed.weights[h] == w.sum()

    @pytest.mark.parametrize("degrees", [(2, 4, 6, 8), (2, 3, 4), (3, 5, 9), (4,)])
    def test_mixed_contractions_are_within_their_bound(self, degrees: tuple[int, ...]):
        d, epsilon = 11, 131 * 2.0**-24
        X, y, weight = data(3000, d)
        exact, mixed = (
            ContractionMoments(d, directions(d)[0], degrees, precision=precision) for precision in ("double", "mixed")
        )
        for accumulator in (exact, mixed):
            accumulator.update(X, y, weight)
        g = directions(d)[0]

        def weights(degree: int) -> Array:
            return np.abs(weight * y * hermeval(X @ g, np.eye(degree - 1)[degree - 2]))

        def vector_error(degree: int) -> Array:
            if degree > 2 and degree - 1 in degrees:
                return epsilon * (np.abs(X).T @ weights(degree - 1))
            if degree > 2 and degree - 2 in degrees:
                followed = np.abs(X).T @ (weights(degree - 2) * (np.abs(X) @ np.abs(g)))
                return epsilon * followed + (degree - 4) * vector_error(degree - 2)
            return np.zeros(d)

        for degree, expected in exact.contractions().items():
            matrix = epsilon * np.abs(X).T @ (weights(degree)[:, None] * np.abs(X))
            vector = np.outer(vector_error(degree), np.abs(g))
            bound = (matrix + (degree - 2) * (vector + vector.T)) / weight.sum()
            got = mixed.contractions()[degree]
            assert np.all(np.abs(got - expected) <= bound + 1e-12 * np.abs(expected).max())
            assert not np.array_equal(got, expected)

    def test_precision_is_part_of_the_configuration(self):
        double, mixed = SliceMoments(3, EDGES), SliceMoments(3, EDGES, precision="mixed")
        with pytest.raises(ArgumentError, match="same configuration"):
            double.merge(mixed)
        assert (double.precision, pickle.loads(pickle.dumps(mixed)).precision) == ("double", "mixed")
        with pytest.raises(ArgumentError, match='precision: expected "double" or "mixed", got "half"'):
            SliceMoments(3, EDGES, precision="half")
