"""Code, tables and formulas of networks compute what the networks compute."""

import math
import re
import sqlite3

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relunet import ArgumentError, ReLUNetwork

NAMES = {
    "none": None,
    "plain": ["width", "depth", "height"],
    "awkward": ['a "b"', "select", "x%_{\\}\n"],
    "keywords": ["max", "lambda", "f"],
}


def network_of(rng, d=3, k=4, m=None, names=None):
    outputs = () if m is None else (m,)
    powers = 10.0 ** rng.integers(-9, 9, (k, 1))
    return ReLUNetwork(
        rng.standard_normal((k, d)) * powers,
        rng.standard_normal((*outputs, k)) / powers[:, 0],
        rng.standard_normal(k) * powers[:, 0],
        rng.standard_normal((*outputs, d)) * rng.integers(0, 2, (*outputs, d)),
        rng.standard_normal(outputs),
        feature_names=names,
    )


def assert_values(values, network, X):
    expected = network.predict(X)
    np.testing.assert_allclose(
        np.asarray(values, dtype=float).reshape(expected.shape), expected, rtol=1e-13, atol=1e-12
    )


@pytest.mark.parametrize("m", [None, 2])
@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_python_code_has_the_values(names, m):
    rng = np.random.default_rng(0)
    network, X = network_of(rng, m=m, names=names), rng.standard_normal((30, 3))
    space = {}
    exec(network.to_text("python"), space)
    assert_values([space["f"](*row) for row in X.tolist()], network, X)
    if names == NAMES["plain"]:
        assert_values([space["f"](**dict(zip(names, row, strict=True))) for row in X.tolist()], network, X)


@pytest.mark.parametrize("m", [None, 2])
@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("engine", ["sqlite", "duckdb"])
def test_sql_has_the_values(engine, names, m):
    rng = np.random.default_rng(1)
    network, X = network_of(rng, m=m, names=names), rng.standard_normal((30, 3))
    columns = ['"' + name.replace('"', '""') + '"' for name in names or ["x0", "x1", "x2"]]
    connection = sqlite3.connect(":memory:") if engine == "sqlite" else duckdb.connect()
    connection.execute(f"CREATE TABLE t (place INTEGER, {', '.join(f'{column} DOUBLE' for column in columns)})")
    connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", [[i, *row] for i, row in enumerate(X.tolist())])
    query = f"SELECT {network.to_text('sql')} FROM t ORDER BY place"
    assert_values(connection.execute(query).fetchall(), network, X)
    connection.execute("INSERT INTO t VALUES (99, NULL, NULL, NULL)")
    assert set(connection.execute(query).fetchall()[-1]) == {None}, "unknown inputs have unknown values"
    connection.close()


def latex_values(formula, X):
    """Evaluate what `to_text("latex")` writes, one output."""
    code = formula.removeprefix("f(x) = ")
    code = re.sub(r" \\cdot 10\^\{(-?\d+)\}", r"e\1", code)
    code = code.replace(r"\max\left(", "max(").replace(r"\right)", ")").replace(r" \, ", " * ")
    code = re.sub(r"x_\{(\d+)\}", r"x[\1]", code)
    return [eval(code, {"max": max, "x": row}) for row in X.tolist()]


def test_latex_has_the_values():
    rng = np.random.default_rng(2)
    network, X = network_of(rng), rng.standard_normal((30, 3))
    assert_values(latex_values(network.to_text("latex"), X), network, X)
    several = network_of(rng, m=2, names=["a_b", "50%", "c"]).to_text("latex")
    assert several.startswith("\\begin{aligned}\nf_{0}(x) &= ")
    assert r"\mathrm{a\_b}" in several
    assert r"\mathrm{50\%}" in several


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_read_as_they_are(value):
    network = ReLUNetwork(np.zeros((0, 1)), [], None, [1.0], value)
    space = {}
    exec(network.to_text("python"), space)
    assert space["f"](0.0) == value
    connection = sqlite3.connect(":memory:")
    (read,) = connection.execute(network.to_text("sql").join(["SELECT ", ' FROM (SELECT 0.0e0 AS "x0")'])).fetchone()
    connection.close()
    # SQLite's own parser of numbers is not always right in the last digit.
    assert math.isclose(read, value, rel_tol=1e-15, abs_tol=5e-324)


def test_digits_and_small_networks():
    network = ReLUNetwork([[1 / 3, -2.0]], [-1.0], [1e-7], [0.0, 2 / 3])
    formula = "0.667 * x1 - 1.0 * max(1e-07 + 0.333 * x0 - 2.0 * x1, 0.0)"
    assert network.to_text("python", digits=3) == f"def f(x0, x1):\n    return {formula}\n"
    assert r"1 \cdot 10^{-7}" in network.to_text("latex", digits=2).replace("1.0", "1")
    nothing = ReLUNetwork(np.zeros((0, 1)), [])
    assert (nothing.to_text("sql"), nothing.to_text("latex")) == ("0.0e0", "f(x) = 0.0")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("c",), "form: 'c'"), (("sql", 0), "digits: 0"), (("sql", 18), "digits: 18"), (("sql", 2.5), "digits: 2.5")],
)
def test_forms_and_digits_that_there_are_not(arguments, message):
    form, *digits = arguments
    with pytest.raises(ArgumentError, match=message):
        ReLUNetwork([[1.0]], [1.0]).to_text(form, digits=digits[0] if digits else None)


def test_names_that_do_not_tell_features_apart():
    network = ReLUNetwork([[1.0, 2.0]], [1.0], feature_names=["a", "a"])
    exec(network.to_text("python"), {})
    for refused in (lambda: network.to_text("sql"), network.hinges, network.sobol_indices):
        with pytest.raises(ArgumentError, match="feature_names"):
            refused()
    with pytest.raises(ArgumentError, match="'offset' would name two columns"):
        ReLUNetwork([[1.0]], [1.0], feature_names=["offset"]).hinges()


@pytest.mark.parametrize("m", [None, 3])
def test_hinges_add_up_to_the_network(m):
    rng = np.random.default_rng(3)
    network = network_of(rng, m=m, names=["a", "b", "c"])
    table = pd.DataFrame(network.hinges())
    assert list(table.columns[-4:]) == ["a", "b", "c", "offset"]
    X = rng.standard_normal((50, 3))
    normals, offsets = table[["a", "b", "c"]].to_numpy(), table["offset"].to_numpy()
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0, rtol=1e-14)
    slopes = table[[name for name in table.columns if name.startswith("output_weight")]].to_numpy()
    values = X @ np.asarray(network.linear).T + np.asarray(network.intercept)
    values = values + (np.maximum(X @ normals.T - offsets, 0.0) @ slopes).reshape(values.shape)
    np.testing.assert_allclose(values, network.predict(X), rtol=1e-12, atol=1e-12)
    assert str(network.hinges()).count("\n") == 4


def test_neurons_without_weights_are_no_hinges():
    network = ReLUNetwork([[0.0], [2.0]], [1.0, 1.0], [1.0, -3.0])
    assert str(network.hinges()) == "output_weight  x0  offset\n            2   1     1.5"
    assert str(ReLUNetwork(np.zeros((0, 1)), []).hinges()) == "output_weight  x0  offset"
