"""The pages of docs/: their code runs, their commands parse and their links are valid."""

from __future__ import annotations

import re
import types
from pathlib import Path

import dask.array as da
import numpy as np
import pyarrow as pa
import pytest

import relunet
from relunet import cli, moments
from relunet.plan import Rates

DOCS = Path(__file__).resolve().parent.parent / "docs"
TEXTS = {path.stem: path.read_text() for path in DOCS.glob("*.md")}


def code(name, containing):
    (found,) = (
        block for block in re.findall(r"```python\n(.*?)```", TEXTS[name], flags=re.DOTALL) if containing in block
    )
    return found


@pytest.fixture(scope="module")
def teacher():
    return relunet.teachers.biased(4, 2, rng=0)


@pytest.fixture(scope="module")
def data(teacher):
    return teacher.sample(4000, rng=1)


class Dataset:
    """What the recipe needs of a Ray data set: one batch after another, and rows of what a function makes of them."""

    def __init__(self, X, y):
        self.data = {f"x{i}": column for i, column in enumerate(X.T)} | {"y": y}

    def columns(self):
        return list(self.data)

    def count(self):
        return len(self.data["y"])

    def iter_batches(self, *, batch_size, batch_format):
        assert batch_format == "numpy"
        for start in range(0, self.count(), batch_size):
            yield {name: column[start : start + batch_size] for name, column in self.data.items()}

    def map_batches(self, function, *, fn_args, batch_size, batch_format):
        assert batch_format == "numpy"
        batches = (
            {name: column[start : start + 700] for name, column in self.data.items()}
            for start in range(0, self.count(), min(batch_size, 700))
        )
        made = [function(batch, *fn_args) for batch in batches]
        rows = [dict(zip(batch, values, strict=True)) for batch in made for values in zip(*batch.values(), strict=True)]
        return types.SimpleNamespace(iter_rows=lambda: iter(rows))


class Frame:
    """What the recipe needs of a Spark data frame: partitions of record batches, some without rows."""

    def __init__(self, X, y):
        self.data = {f"x{i}": column for i, column in enumerate(X.T)} | {"y": y}
        self.columns = list(self.data)

    def count(self):
        return len(self.data["y"])

    def toArrow(self):  # noqa: N802
        return pa.table(self.data)

    def mapInArrow(self, function, schema):  # noqa: N802
        assert schema == "sums array<binary>"
        whole = pa.RecordBatch.from_pydict(self.data)
        partitions = [[whole.slice(0, 1000), whole.slice(1000, 1)], [], [whole.slice(1001, 0), whole.slice(1001)]]
        parts = [part for batches in partitions for part in function(iter(batches))]
        rows = [types.SimpleNamespace(**row) for part in parts for row in part.to_pylist()]
        return types.SimpleNamespace(toLocalIterator=lambda: iter(rows))


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["Ray", "Spark"])
def test_recipes_fit_what_one_machine_fits(engine, teacher, data):
    space = {"learn": relunet.learn}
    exec(code("scale", "class RaySamples"), space)
    if engine == "Spark":
        exec(code("scale", "class SparkSamples"), space)
        space["frame"] = Frame(*data)
    else:
        space["dataset"] = Dataset(*data)
    exec(code("scale", f"learn({engine}Samples"), space)
    here = relunet.learn(relunet.scan_array(*data), n_neurons=2).network
    assert space["result"].report.status == "exact"
    assert space["result"].network.gaussian_distance(here) < 1e-10 * here.gaussian_norm()
    samples = eval(f"{engine}Samples({'dataset' if engine == 'Ray' else 'frame'}, target='y')", space)
    model = relunet.ReLUNetRegressor(2).fit(samples)
    assert np.abs(model.predict(samples) - data[1]).max() < 1e-9


def test_dask_and_checkpoints_do_what_they_say(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", data[0])
    np.save("y.npy", data[1])
    space = {}
    exec(code("scale", 'checkpoint="kept"'), space)
    exec(code("scale", "every=10.0"), space)
    assert space["result"].report.status == "exact"
    assert space["inputs"].n_rows == 4000
    assert list(Path("kept").glob("*.moments"))
    da.to_npy_stack("x", da.from_array(data[0], chunks=(1000, 4)))
    da.to_npy_stack("y", da.from_array(data[1], chunks=1000))
    exec(code("scale", "scan_dask"), space)
    assert space["result"].report.status == "exact"


def test_commands_parse(monkeypatch, capsys):
    rates = Rates(inputs=1e-8, slices=1e-8, gradient=1e-8, risk=1e-8, search=1.0, search_rows=10_000)
    monkeypatch.setattr("relunet.plan.measure", lambda *_, **__: rates)
    commands = re.findall(r"^\$ relunet (.*)$", TEXTS["scale"], flags=re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        assert cli.main(command.split()) == 0


def test_stored_accumulators_are_read_as_documented(data):
    X, y = data
    space = {}
    exec(code("accumulators", "def stored"), space)
    network = relunet.ReLUNetwork(np.eye(4)[:2], [1.0, -1.0], intercept=0.5)
    shared = relunet.ReLUNetwork(np.eye(4)[:2], [[1.0, -1.0], [0.5, 2.0]], intercept=[0.5, 0.0])
    kinds = [
        moments.InputMoments(4),
        moments.ContractionMoments(4, np.eye(4)[0], [2, 4]),
        moments.SliceMoments(4, [0.0, 1.0], network),
        moments.RiskMoments(network),
        moments.GradientMoments(network),
        moments.CurvatureMoments(network),
        moments.RowSample(4, 2**61, 7),
        moments.SketchMoments(4, np.eye(4)[:2], [0.0], [[1.0], [2.0]]),
        moments.JointGradientMoments(shared),
        moments.LabelMap(moments.InputMoments(4), [[1.0, -1.0]]),
    ]
    read = {}
    for i, sums in enumerate(kinds):
        sums.update(X, y if i < 8 else np.column_stack([y, 2 * y]))
        kind, values = space["stored"](sums.to_bytes())
        assert kind == i + 1
        assert i == 9 or 4000 in values, "the number of rows"
        read[kind] = values
    inputs, contractions, slices, risk, gradient, curvature, rows, sketch, joint, mapped = kinds
    np.testing.assert_array_equal(read[9][1], shared.weights.ravel())
    np.testing.assert_allclose(np.reshape(read[9][10], (2, 2)) / 4000, joint.output_weights, rtol=1e-13)
    kind, values = space["stored"](read[10][2])
    assert (kind, read[10][:2]) == (1, [2, [1.0, -1.0]])
    assert values[4][4] == mapped.accumulator.label_mean
    np.testing.assert_array_equal(read[1][4][:4], inputs.mean)
    np.testing.assert_allclose(np.reshape(read[1][5], (5, 5))[:4, :4] / 4000, inputs.cov, rtol=1e-15)
    triangle = np.tril_indices(4)
    grams = np.reshape(read[3][5], (3, 1 + 4 + 10))
    np.testing.assert_array_equal(grams[:, 0], slices.weights)
    np.testing.assert_array_equal(grams[:, 1:5], slices.vectors)
    np.testing.assert_array_equal(grams[:, 5:], slices.grams[:, *triangle])
    assert read[3][1] == [0.0, 1.0]
    assert read[3][3] == [network.weights.ravel().tolist(), [0, 0], [1, -1], [0, 0, 0, 0], 0.5]
    second = np.reshape(read[2][8], (2, 15))[0]
    expected = contractions.contractions()[2] * 4000 + np.sum(y) * np.eye(4)
    np.testing.assert_allclose(second[5:], expected[triangle], rtol=1e-12, atol=1e-9)
    assert read[4][2][0] == 4000
    assert read[4][2][2] / 4000 == pytest.approx(risk.risk)
    assert read[4][2][5] == risk.largest_residual
    np.testing.assert_allclose(np.reshape(read[5][3], (3, 4)) / 4000, gradient.gradient[:, :4], rtol=1e-13, atol=1e-15)
    affine = np.reshape(read[6][2], (4, 15))[0]
    np.testing.assert_allclose(affine[5:] / 4000, curvature.normal_matrix[-5:-1, -5:-1][triangle], rtol=1e-13)
    order = np.argsort(read[7][7])
    np.testing.assert_array_equal(np.reshape(read[7][8], (-1, 6))[order, :4], rows.rows()[1])
    assert read[7][4:6] == [0, []]
    np.testing.assert_array_equal(np.reshape(read[8][7], (3, 4))[1:], sketch.products[0])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["uses", "networks", "outputs"])
def test_pages_run_from_top_to_bottom(name, tmp_path, monkeypatch):
    if name == "uses":
        for package in ("omlt", "pyomo", "highspy", "gurobi_ml", "pyscipopt_ml", "sklearn"):
            pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    space = {}
    for block in re.findall(r"```python\n(.*?)```", TEXTS[name], flags=re.DOTALL):
        exec(block, space)


@pytest.mark.parametrize("name", TEXTS)
def test_links_lead_somewhere(name):
    text = re.sub(r"```.*?```", "", TEXTS[name], flags=re.DOTALL)
    for target in re.findall(r"\]\((?!https?:)(.*?)\)", text):
        assert (DOCS / target).is_file()
