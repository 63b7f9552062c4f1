"""ReLUNetwork: values, canonical form, matching, files."""

import copy
import doctest
import os
import pickle
import subprocess
import sys
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

import relunet.network.network
from relunet import ArgumentError, DataError, FileError, ReLUNetwork, teachers
from relunet.network.matching import assignment


def formula(f, X):
    hidden = np.maximum(X @ f.weights.T + f.biases, 0.0)
    return np.asarray(f.intercept) + X @ np.asarray(f.linear).T + hidden @ f.output_weights.T


def random_network(rng, d, k, m=None):
    outputs = () if m is None else (m,)
    return ReLUNetwork(
        rng.standard_normal((k, d)),
        rng.standard_normal((*outputs, k)),
        rng.standard_normal(k),
        rng.standard_normal((*outputs, d)),
        rng.standard_normal(outputs),
    )


@pytest.mark.parametrize("m", [None, 1, 3])
@pytest.mark.parametrize(("n", "d", "k"), [(0, 2, 3), (1, 1, 0), (300, 1, 1), (513, 8, 5), (1000, 19, 33)])
def test_predict_is_the_formula(n, d, k, m):
    rng = np.random.default_rng(0)
    f = random_network(rng, d, k, m)
    X = rng.standard_normal((n, d))
    values = f.predict(X)
    assert values.shape == ((n,) if m is None else (n, m))
    np.testing.assert_allclose(values, formula(f, X), rtol=1e-12, atol=1e-12)
    assert (f.n_neurons, f.n_features, f.n_outputs) == (k, d, m or 1)


def test_predict_takes_any_layout_and_real_dtype():
    rng = np.random.default_rng(1)
    f = random_network(rng, 3, 4)
    X = rng.integers(-3, 4, (40, 3)).astype(float)
    values = f.predict(X)
    strided = np.zeros((80, 6))
    strided[::2, ::2] = X
    for same in (np.asfortranarray(X), X.astype(np.float32), X.astype(int), X.tolist(), strided[::2, ::2]):
        np.testing.assert_array_equal(f.predict(same), values)
    np.testing.assert_array_equal(f.predict(X[7:8]), values[7:8])


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([1.0, 2.0], r"X: shape \(2,\), expected \(n, 2\)"),
        ([[1.0, 2.0, 3.0]], r"X: shape \(1, 3\)"),
        ([[1.0, 2.0], [3.0]], "X: "),
        ([[1.0 + 1j, 2.0]], "dtype complex128"),
        ([["a", "b"]], "X: dtype"),
        ([[1.0, None]], "dtype object"),
        ([[0.0, 1.0], [1.0, np.nan]], "X, row 1, column 1: NaN"),
        ([[np.inf, 1.0]], "X, row 0, column 0: inf"),
    ],
)
def test_inputs_that_cannot_be_used(X, message):
    with pytest.raises(DataError, match=message):
        ReLUNetwork([[1.0, 1.0]], [1.0]).predict(X)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0], [1.0]), r"weights: shape \(1,\), expected \(k, d\)"),
        ((np.zeros((2, 0)), [1.0, 1.0]), "d >= 1"),
        (([[1.0]], [1.0, 2.0]), r"output_weights: shape \(2,\), expected \(1,\) or \(m, 1\)"),
        (([[1.0]], np.zeros((0, 1))), "output_weights: shape"),
        (([[1.0]], 1.0), "output_weights: shape"),
        (([[1.0]], [1.0], [1.0, 2.0]), r"biases: shape \(2,\), expected \(1,\)"),
        (([[1.0]], [1.0], None, [1.0, 2.0]), r"linear: shape \(2,\), expected \(1,\)"),
        (([[1.0]], [[1.0], [2.0]], None, [1.0]), r"linear: shape \(1,\), expected \(2, 1\)"),
        (([[1.0]], [1.0], None, None, [1.0]), "intercept: shape"),
        (([[np.nan]], [1.0]), r"weights: nan at index \(0, 0\)"),
        (([["a"]], [1.0]), "weights: dtype"),
        (([[1.0], [1.0, 2.0]], [1.0, 1.0]), "weights: "),
        (([[1j]], [1.0]), "dtype complex128"),
        (([[1.0]], [1.0], None, None, "a"), "intercept: dtype"),
    ],
)
def test_parameters_that_make_no_network(arguments, message):
    with pytest.raises(ArgumentError, match=message) as caught:
        ReLUNetwork(*arguments)
    assert isinstance(caught.value, ValueError)


def test_parameters_are_copies_and_read_only():
    weights = np.ones((2, 3))
    f = ReLUNetwork(weights, [1.0, 2.0])
    weights[0, 0] = 7.0
    assert f.weights[0, 0] == 1.0
    for array in (f.weights, f.output_weights, f.biases, f.linear):
        assert array.dtype == np.float64
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 3.0
    with pytest.raises(AttributeError):
        f.weights = weights


def test_equality_pickle_and_copy():
    f = random_network(np.random.default_rng(2), 3, 2, 2)
    for same in (pickle.loads(pickle.dumps(f)), copy.copy(f), copy.deepcopy(f)):
        assert same == f
        assert not same.weights.flags.writeable
    assert f != ReLUNetwork(f.weights, f.output_weights, f.biases, f.linear, np.asarray(f.intercept) + 1.0)
    assert f != "f"
    assert ReLUNetwork([[1.0]], [1.0]) == ReLUNetwork([[1.0]], [1.0], [0.0], [0.0])
    assert ReLUNetwork([[1.0]], [1.0]) != ReLUNetwork([[1.0]], [[1.0]])


@pytest.mark.parametrize("names", [("a", "b, c"), ("\u00e9", "")])
def test_feature_names_are_kept(tmp_path, names):
    f = ReLUNetwork([[2.0, 0.0], [-1.0, 0.0]], [1.0, 3.0], feature_names=list(names))
    f.save(tmp_path / "f.safetensors")
    for same in (f, f.canonical(), pickle.loads(pickle.dumps(f)), ReLUNetwork.load(tmp_path / "f.safetensors")):
        assert same.feature_names == names
    unnamed = ReLUNetwork(f.weights, f.output_weights)
    assert unnamed.feature_names is None
    assert unnamed == f, "names are not compared"
    assert f.gaussian_distance(unnamed) == 0.0
    with pytest.raises(ArgumentError, match=r"other: features \('u', 'v'\), expected \("):
        f.gaussian_distance(ReLUNetwork(f.weights, f.output_weights, feature_names=["u", "v"]))
    assert f"relu(2 {names[0]})" in repr(f)


@pytest.mark.parametrize(
    ("names", "message"),
    [("ab", "feature_names: 'ab'"), (["a"], "feature_names: 1 names, expected 2"), (["a", 1], "1 at index 1")],
)
def test_feature_names_that_do_not_fit(names, message):
    with pytest.raises(ArgumentError, match=message):
        ReLUNetwork([[1.0, 2.0]], [1.0], feature_names=names)


def test_files_with_damaged_feature_names(tmp_path):
    path = tmp_path / "network.safetensors"
    tensors = {"weights": np.zeros((1, 2)), "output_weights": np.zeros(1), "biases": np.zeros(1), "linear": np.zeros(2)}
    ours = {"format": "relunet.ReLUNetwork", "format_version": "1"}
    for damaged in ("[", '"ab"', '["a"]', "[1, 2]", "5"):
        save_file({**tensors, "intercept": np.zeros(())}, path, {**ours, "feature_names": damaged})
        with pytest.raises(FileError, match="feature_names"):
            ReLUNetwork.load(path)


def test_text():
    f = ReLUNetwork([[1.0, -2.5], [0.0, 1.0]], [-1.0, 2.0], [0.0, -1.0], [0.0, 3.0], -0.5)
    assert repr(f) == "ReLUNetwork: 2 neurons, 2 features\n  f(x) = 3 x1 - 0.5 - relu(x0 - 2.5 x1) + 2 relu(x1 - 1)"
    assert repr(ReLUNetwork(np.zeros((0, 1)), [])).endswith("f(x) = 0")
    large = teachers.generic(50, 4, rng=0).network
    assert repr(large) == "ReLUNetwork: 4 neurons, 50 features; no biases, no linear part, no intercept"


def disguised(f, rng):
    """The same function with neurons permuted, rescaled, flipped and split in two."""
    order = np.r_[rng.permutation(f.n_neurons), rng.integers(0, f.n_neurons, 2)]
    scale = rng.uniform(0.1, 10.0, len(order))
    weights, biases = f.weights[order] * scale[:, None], f.biases[order] * scale
    share = rng.dirichlet(np.ones(len(order)))
    for i in range(f.n_neurons):
        share[order == i] /= share[order == i].sum()
    output_weights = np.asarray(f.output_weights)[..., order] * share / scale
    flip = rng.integers(0, 2, len(order)).astype(bool)
    linear = f.linear + (output_weights * flip) @ weights
    intercept = f.intercept + (output_weights * flip) @ biases
    signs = np.where(flip, -1.0, 1.0)
    return ReLUNetwork(weights * signs[:, None], output_weights, biases * signs, linear, intercept)


@pytest.mark.parametrize("m", [None, 2])
@pytest.mark.parametrize("seed", range(5))
def test_the_canonical_form_only_depends_on_the_function(seed, m):
    rng = np.random.default_rng(seed)
    f = random_network(rng, 3, 4, m)
    first, second = f.canonical(), disguised(f, rng).canonical()
    assert first.n_neurons == second.n_neurons == 4
    for name in ("weights", "output_weights", "biases", "linear", "intercept"):
        np.testing.assert_allclose(getattr(first, name), getattr(second, name), rtol=1e-11, atol=1e-12)
    X = rng.standard_normal((100, 3))
    np.testing.assert_allclose(first.predict(X), f.predict(X), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(first.weights, axis=1), 1.0, rtol=1e-14)
    np.testing.assert_array_equal(first.weights[:, 0], np.sort(np.abs(first.weights[:, 0])))


def test_the_canonical_form_leaves_out_what_is_not_a_neuron():
    f = ReLUNetwork(
        [[3.0, 0.0], [-6.0, 0.0], [0.0, 0.0], [1.0, 1.0], [0.1, 0.2], [0.3, 0.6]],
        [1.0, -0.5, 2.0, 0.0, 3.0, -1.0],
        [3.0, -6.0, 0.5, 0.0, 0.1, 0.3],
    )
    g = f.canonical()
    assert g.n_neurons == 0
    assert g == ReLUNetwork(np.zeros((0, 2)), [], None, [3.0, 0.0], 4.0)
    assert g.canonical() == g
    assert ReLUNetwork([[1e-300]], [1.0], [1e10]).canonical().intercept == 1e10


KINDS = {
    "generic": (8, 5, 8),
    "plane": (6, 7, 2),
    "overcomplete": (3, 12, 3),
    "fan of many": (4, 32, 2),
    "many": (60, 50, 60),
}


@pytest.mark.parametrize("m", [None, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_the_canonical_form_keeps_networks_without_a_linear_part(kind, m):
    d, k, rank = KINDS[kind]
    rng = np.random.default_rng(3)
    outputs = () if m is None else (m,)
    weights = rng.standard_normal((k, rank)) @ rng.standard_normal((rank, d))
    f = ReLUNetwork(weights, rng.standard_normal((*outputs, k)), rng.standard_normal(k), None, np.zeros(outputs))
    order, flip = rng.permutation(k), rng.integers(0, 2, k).astype(bool)
    flipped = np.asarray(f.output_weights) * flip
    sign = np.where(flip, -1.0, 1.0)
    g = ReLUNetwork(
        (f.weights * sign[:, None])[order],
        np.asarray(f.output_weights)[..., order],
        (f.biases * sign)[order],
        flipped @ f.weights,
        flipped @ f.biases,
    )
    first, second = f.canonical(), g.canonical()
    assert not np.any(first.linear)
    assert not np.any(first.intercept)
    assert not np.any(second.linear)
    for name in ("weights", "output_weights", "biases"):
        np.testing.assert_allclose(getattr(first, name), getattr(second, name), rtol=1e-10, atol=1e-10)
    X = rng.standard_normal((50, d))
    np.testing.assert_allclose(second.predict(X), f.predict(X), rtol=1e-11, atol=1e-10)
    again = first.canonical()
    np.testing.assert_allclose(again.weights, first.weights, rtol=1e-14, atol=1e-15)


def test_the_canonical_form_of_symmetric_networks_is_the_smallest_intercept_and_the_first():
    # Both choices of orientations leave no linear part: relu(x + 1) + relu(-x + 1) and its mirror image plus 2.
    there = ReLUNetwork([[1.0], [-1.0]], [1.0, 1.0], [1.0, 1.0])
    back = ReLUNetwork([[-1.0], [1.0]], [1.0, 1.0], [-1.0, -1.0], intercept=2.0)
    for f in (there, back):
        g = f.canonical()
        assert (g.linear.tolist(), g.intercept) == ([0.0], 0.0)
        np.testing.assert_array_equal(g.weights, [[-1.0], [1.0]])
    level = ReLUNetwork([[1.0, 0.0], [-1.0, 1.0], [0.0, -1.0]], [1.0, 1.0, 1.0]).canonical()
    mirrored = ReLUNetwork([[-1.0, 0.0], [1.0, -1.0], [0.0, 1.0]], [1.0, 1.0, 1.0]).canonical()
    assert not level.linear.any()
    np.testing.assert_allclose(level.weights, mirrored.weights, rtol=1e-14, atol=1e-15)


def test_the_canonical_form_keeps_small_linear_parts():
    f = ReLUNetwork([[1.0, 2.0], [-1.0, 0.5]], [1.0, -1.0], linear=[0.0, 1e-9])
    g = f.canonical()
    assert g.linear.any()
    np.testing.assert_allclose(g.predict(np.eye(2)), f.predict(np.eye(2)), rtol=1e-14)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5), st.integers(0, 3), st.integers(0, 2**32 - 1))
def test_assignment_is_optimal(n_rows, surplus, seed):
    rng = np.random.default_rng(seed)
    cost = rng.integers(0, 6, (n_rows, n_rows + surplus)).astype(float)
    columns = assignment(cost)
    assert len(set(columns)) == n_rows
    best = min(sum(cost[i, j] for i, j in enumerate(p)) for p in permutations(range(n_rows + surplus), n_rows))
    assert cost[np.arange(n_rows), columns].sum() == best


@pytest.mark.parametrize("m", [None, 2])
def test_match_undoes_permutations_flips_and_scales(m):
    rng = np.random.default_rng(6)
    f = random_network(rng, 4, 6, m)
    order, flip, scale = rng.permutation(6), rng.choice([-1.0, 1.0], 6), rng.uniform(0.5, 2.0, 6)
    step = 1e-9 * rng.standard_normal((6, 4))
    g = ReLUNetwork(
        ((f.weights + step) * (flip * scale)[:, None])[order],
        (np.asarray(f.output_weights) / scale)[..., order],
        (f.biases * flip * scale)[order],
        f.linear,
        f.intercept,
    )
    found = f.match(g)
    np.testing.assert_array_equal(order[found.permutation], np.arange(6))
    np.testing.assert_array_equal(found.flipped, flip < 0)
    # | |p + s| - |p| | = |s| up to a set of measure 1e-9
    coefficients = np.linalg.norm(np.asarray(f.output_weights).reshape(-1, 6), axis=0)
    np.testing.assert_allclose(found.distances, coefficients * np.linalg.norm(step, axis=1) / 2, rtol=1e-6)
    shift = np.ones(4)
    there = f.match(g, mean=shift, cov=2 * np.eye(4))
    moved = coefficients * np.sqrt(2 * (step**2).sum(axis=1) + (step @ shift) ** 2) / 2
    np.testing.assert_allclose(there.distances, moved, rtol=1e-6)


def test_match_with_different_numbers_of_neurons():
    f = teachers.generic(5, 4, rng=0).network
    g = ReLUNetwork(f.weights[[2, 0]], f.output_weights[[2, 0]])
    fewer = f.match(g)
    assert fewer.permutation.tolist() == [1, -1, 0, -1]
    assert fewer.distances[0] == fewer.distances[2] == 0.0
    # sqrt(E |output_weight weights.x|^2) / 2
    np.testing.assert_allclose(fewer.distances[[1, 3]], np.abs(f.output_weights[[1, 3]]) / 2, rtol=1e-14)
    assert g.match(f).permutation.tolist() == [2, 0]
    nothing = ReLUNetwork(np.zeros((0, 5)), [])
    assert f.match(nothing).permutation.tolist() == [-1] * 4
    assert nothing.match(f).permutation.tolist() == []
    opposite = ReLUNetwork([[1.0]], [1.0]).match(ReLUNetwork([[1.0]], [-1.0]))
    assert opposite.distances[0] == pytest.approx(1.0, rel=1e-15)


@pytest.mark.parametrize("m", [None, 2])
@pytest.mark.parametrize("k", [0, 3])
def test_files_round_trip(tmp_path, k, m):
    f = random_network(np.random.default_rng(7), 4, k, m)
    path = tmp_path / "network.safetensors"
    path.write_bytes(b"what was there before")
    f.save(path)
    assert ReLUNetwork.load(str(path)) == f
    assert os.listdir(tmp_path) == ["network.safetensors"]
    first = path.read_bytes()
    for _ in range(8):
        ReLUNetwork.load(path).save(path)
        assert path.read_bytes() == first


def test_files_that_are_not_networks(tmp_path):
    path = tmp_path / "network.safetensors"
    f = random_network(np.random.default_rng(8), 4, 3)
    f.save(path)
    whole = path.read_bytes()
    tensors = {"weights": np.zeros((1, 2)), "output_weights": np.zeros(1)}
    ours = {"format": "relunet.ReLUNetwork", "format_version": "1"}
    full = {**tensors, "biases": np.zeros(1), "linear": np.zeros(2), "intercept": np.zeros(())}

    def rejected(message):
        with pytest.raises(FileError, match=message) as caught:
            ReLUNetwork.load(path)
        assert isinstance(caught.value, OSError)
        assert str(path) in str(caught.value)

    for damaged in (b"", b"junk", whole[:20], bytes(len(whole))):
        path.write_bytes(damaged)
        rejected("not a readable safetensors file")
    path.write_bytes(whole[:-9])
    rejected("damaged: tensor 'weights'")
    save_file(full, path)
    rejected("not a network that relunet saved")
    save_file(full, path, {**ours, "format_version": "2"})
    rejected("format version 2, this relunet reads up to 1")
    save_file(tensors, path, ours)
    rejected("tensors")
    save_file({**full, "biases": np.zeros(2)}, path, ours)
    rejected("biases: shape")
    save_file({**full, "biases": np.full(1, np.nan)}, path, ours)
    rejected("biases: nan")
    save_file(full, path, ours)
    assert ReLUNetwork.load(path).n_neurons == 1
    path.unlink()
    rejected("cannot be read")


def test_a_failed_save_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "network.safetensors"
    f = ReLUNetwork([[1.0]], [1.0])
    f.save(path)

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileError, match="No space left"):
        ReLUNetwork([[2.0]], [1.0]).save(path)
    assert ReLUNetwork.load(path) == f
    assert os.listdir(tmp_path) == ["network.safetensors"]
    with pytest.raises(FileError, match="cannot be written"):
        f.save(tmp_path / "missing" / "network.safetensors")


@pytest.mark.slow
def test_bits_do_not_depend_on_the_number_of_threads():
    program = """
import numpy as np
from relunet import teachers
t = teachers.anisotropic(13, 6, rng=0)
X, y = t.sample(5000, rng=1)
g = teachers.biased(13, 7, rng=2).network
print(y.tobytes().hex(), t.network.gaussian_distance(g, t.mean, t.cov).hex())
print(t.network.match(g).distances.tobytes().hex())
"""
    told = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "RAYON_NUM_THREADS": threads, "PYTHONHASHSEED": "0"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "3")
    ]
    assert told[0] == told[1]


def test_examples():
    assert doctest.testmod(relunet.network.network).failed == 0


@pytest.mark.parametrize("angle", [0.01, 0.1, 0.3, 0.5, 0.72])
@pytest.mark.parametrize("bias", [-0.4, 0.1, 0.4])
def test_distance_of_kinks_with_biases_that_agree_but_for_rounding(angle, bias):
    weights = np.array([[1.0, 0.0], [np.cos(angle), np.sin(angle)]])
    move = np.array([[0.3, 0.1], [-0.2, 0.5]])
    network = ReLUNetwork(weights, [1.0, -1.0], [bias, bias])
    far, near = (
        network.gaussian_distance(ReLUNetwork(weights + e * move, [1.0, -1.0], [bias, bias])) / e for e in (1e-6, 1e-12)
    )
    assert near == pytest.approx(far, rel=1e-3)
