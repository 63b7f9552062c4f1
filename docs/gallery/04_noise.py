"""
Noise, and an interval for the error
====================================

The same network from labels with more and more noise. The error of the fit falls in proportion to the noise, and the
interval of the report covers the noise that was added.
"""

import matplotlib.pyplot as plt
import numpy as np

from relunet import learn, scan_array, teachers

teacher = teachers.generic(10, 3, rng=3)
X, clean = teacher.sample(10_000, rng=4)
rng = np.random.default_rng(5)

levels = np.array([0.01, 0.03, 0.1, 0.3])
errors, middles, ends = [], [], []
for level in levels:
    y = clean + level * clean.std() * rng.standard_normal(len(clean))
    result = learn(scan_array(X, y), n_neurons=3)
    report = result.report
    errors.append(result.network.gaussian_distance(teacher.network) / clean.std())
    middles.append(np.sqrt(report.risk) / clean.std())
    ends.append(np.sqrt(report.risk_interval) / clean.std())
    print(f"noise {level:g}: {report.status}, {report.n_neurons} neurons, error {errors[-1]:.1e}")

# %%
# Risk on the rows held out, with its interval at 95 %, and the distance of the network from the true one, which is far
# below the noise.

middles, ends = np.array(middles), np.array(ends)
_, ax = plt.subplots()
ax.errorbar(levels, middles, yerr=np.abs(ends.T - middles), fmt="o", capsize=4, label="held-out error, with interval")
ax.plot(levels, levels, color="0.5", linewidth=1, label="noise that was added")
ax.plot(levels, errors, "s-", label="distance from the true network")
ax.set(xscale="log", yscale="log", xlabel="noise, as part of the labels", ylabel="relative error")
ax.legend()
