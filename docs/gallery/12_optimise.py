"""
Optimise over a network
=======================

Each neuron is one binary variable of a mixed-integer program, so that the minimum of a narrow network is found with a
proof of optimality in little time. OMLT formulates the program and HiGHS solves it.
"""

import numpy as np
import omlt
import pyomo.environ as pyomo
from omlt.neuralnet import ReluBigMFormulation

from relunet import learn, scan_array

rng = np.random.default_rng(0)
X = rng.standard_normal((5_000, 3))
y = 2 * np.maximum(X[:, 0] - 0.5 * X[:, 1], 0) - np.maximum(X[:, 2] + 1, 0) + 0.3
network = learn(scan_array(X, y)).network
print(network)

bounds = [[-2, 2], [-2, 2], [-2, 2]]
program = pyomo.ConcreteModel()
program.network = omlt.OmltBlock()
program.network.build_formulation(ReluBigMFormulation(network.to_omlt(bounds)))
program.least = pyomo.Objective(expr=program.network.outputs[0])
pyomo.SolverFactory("appsi_highs").solve(program)
best = [pyomo.value(program.network.inputs[i]) for i in range(3)]
print("least value", round(pyomo.value(program.least), 6), "at", np.round(best, 3))

# %%
# The minimum over a grid in the box agrees.

axis = np.linspace(-2, 2, 41)
grid = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3)
print("least value on the grid", round(network.predict(grid).min(), 6))
