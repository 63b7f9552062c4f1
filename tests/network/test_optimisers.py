"""Networks inside mixed-integer programs: the tools that read the files find the optimum that brute force finds."""

import numpy as np
import onnx
import pytest

from relunet import ReLUNetwork

BOUNDS = np.array([[-2.0, 1.5], [-1.0, 2.0]])


def network_of(seed, linear):
    rng = np.random.default_rng(seed)
    return ReLUNetwork(
        rng.standard_normal((4, 2)),
        rng.standard_normal(4),
        rng.standard_normal(4),
        rng.standard_normal(2) if linear else None,
        0.7,
    )


def minimum(network):
    """The least value: f is linear between kinks and sides of the box, so it is at a point where two of them meet."""
    lines = [*zip(network.weights, -network.biases, strict=True)]
    lines += [(np.eye(2)[i], BOUNDS[i, j]) for i in range(2) for j in range(2)]
    points = []
    for i, (u, p) in enumerate(lines):
        for v, q in lines[:i]:
            matrix = np.stack([u, v])
            if abs(np.linalg.det(matrix)) > 1e-9:
                points.append(np.linalg.solve(matrix, [p, q]))
    points = np.array(points)
    inside = np.all((points >= BOUNDS[:, 0] - 1e-9) & (points <= BOUNDS[:, 1] + 1e-9), axis=1)
    return network.predict(points[inside]).min()


CASES = [(seed, linear, bounded) for seed in (0, 1) for linear in (False, True) for bounded in (False, True)]


@pytest.mark.parametrize(("seed", "linear", "bounded"), CASES)
def test_gurobi(tmp_path, seed, linear, bounded):
    gurobipy = pytest.importorskip("gurobipy")
    add_predictor_constr = pytest.importorskip("gurobi_ml").add_predictor_constr
    network = network_of(seed, linear)
    network.to_onnx(tmp_path / "network.onnx", bounds=BOUNDS if bounded else None)
    with gurobipy.Env(params={"OutputFlag": 0}) as environment, gurobipy.Model(env=environment) as model:
        x = model.addMVar((1, 2), lb=BOUNDS[:, 0], ub=BOUNDS[:, 1])
        y = model.addMVar((1, 1), lb=-100.0, ub=100.0)
        add_predictor_constr(model, onnx.load(tmp_path / "network.onnx"), x, y)
        model.setObjective(y.sum())
        model.optimize()
        assert model.ObjVal == pytest.approx(minimum(network), abs=1e-5)


@pytest.mark.parametrize(("seed", "linear", "bounded"), CASES)
def test_scip(tmp_path, seed, linear, bounded):
    scip = pytest.importorskip("pyscipopt")
    add_predictor_constr = pytest.importorskip("pyscipopt_ml.add_predictor").add_predictor_constr
    network = network_of(seed, linear)
    network.to_onnx(tmp_path / "network.onnx", bounds=BOUNDS if bounded else None)
    model = scip.Model()
    model.hideOutput()
    x = np.array([[model.addVar(lb=BOUNDS[i, 0], ub=BOUNDS[i, 1]) for i in range(2)]])
    y = np.array([[model.addVar(lb=-100.0, ub=100.0)]])
    add_predictor_constr(model, onnx.load(tmp_path / "network.onnx"), x, y)
    model.setObjective(y[0, 0])
    model.optimize()
    assert model.getObjVal() == pytest.approx(minimum(network), abs=1e-5)


@pytest.mark.parametrize(("seed", "linear", "bounded"), CASES)
def test_omlt(tmp_path, seed, linear, bounded):
    pyomo = pytest.importorskip("pyomo.environ")
    pytest.importorskip("highspy")
    omlt = pytest.importorskip("omlt")
    from omlt.io import load_onnx_neural_network
    from omlt.neuralnet import ReluBigMFormulation

    network = network_of(seed, linear)
    network.to_onnx(tmp_path / "network.onnx", bounds=BOUNDS if bounded else None)
    box = {i: tuple(map(float, BOUNDS[i])) for i in range(2)}
    read = load_onnx_neural_network(onnx.load(tmp_path / "network.onnx"), input_bounds=box)
    for definition in (read, network.to_omlt(BOUNDS)):
        model = pyomo.ConcreteModel()
        model.network = omlt.OmltBlock()
        model.network.build_formulation(ReluBigMFormulation(definition))
        model.objective = pyomo.Objective(expr=model.network.outputs[0])
        pyomo.SolverFactory("appsi_highs").solve(model)
        assert pyomo.value(model.objective) == pytest.approx(minimum(network), abs=1e-5)


@pytest.mark.parametrize(("seed", "linear"), [(0, False), (1, True)])
def test_perceptrons_inside_gurobi(seed, linear):
    gurobipy = pytest.importorskip("gurobipy")
    add_predictor_constr = pytest.importorskip("gurobi_ml").add_predictor_constr
    network = network_of(seed, linear)
    with gurobipy.Env(params={"OutputFlag": 0}) as environment, gurobipy.Model(env=environment) as model:
        x = model.addMVar((1, 2), lb=BOUNDS[:, 0], ub=BOUNDS[:, 1])
        y = model.addMVar((1, 1), lb=-100.0, ub=100.0)
        add_predictor_constr(model, network.to_sklearn(), x, y)
        model.setObjective(y.sum())
        model.optimize()
        assert model.ObjVal == pytest.approx(minimum(network), abs=1e-5)
