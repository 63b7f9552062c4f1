"""
A table with units and names
============================

Features of a table have units, offsets and correlations, which need not be removed before a fit. The same function is
found in any units, and it uses the names of the columns.
"""

import numpy as np
import pandas as pd

from relunet import ReLUNetRegressor

rng = np.random.default_rng(0)
n = 6_000
temperature = 290 + 8 * rng.standard_normal(n)  # kelvin
pressure = 101_325 + 900 * rng.standard_normal(n) + 40 * (temperature - 290)  # pascal, warmer is higher
flow = 2e-3 + 3e-4 * rng.standard_normal(n)  # cubic metres a second
table = pd.DataFrame({"temperature": temperature, "pressure": pressure, "flow": flow})
# Heating sets in below 285 K, and a valve opens above 102 kPa.
power = 120 * np.maximum(285 - temperature, 0) + 0.02 * np.maximum(pressure - 102_000, 0) + 4e4 * flow + 15
power = power + 2.0 * rng.standard_normal(n)

model = ReLUNetRegressor(n_neurons=2).fit(table, power)
print(model.report_)

# %%
# The table of hinges has one row per neuron, with its hyperplane and its size.

print(pd.DataFrame(model.network_.hinges()).round(6).to_string())

# %%
# The same table in other units gives the same predictions.

other = table.assign(temperature=table["temperature"] - 273.15, pressure=table["pressure"] / 1000)
again = ReLUNetRegressor(n_neurons=2).fit(other, power)
print("largest difference:", np.abs(again.predict(other) - model.predict(table)).max())
