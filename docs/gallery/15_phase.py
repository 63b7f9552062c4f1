"""
Rows that recovery needs: a phase diagram
=========================================

Recovery from noiseless labels fails with few rows and succeeds with many. This example repeats fits over the number of
rows per parameter and shows the share of networks that are recovered to rounding.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np

from relunet import learn, scan_array, teachers
from relunet.fitting.settings import Settings

n_features, widths, ratios, n_networks = 10, (1, 2, 3), (0.8, 1.2, 1.6, 2.4, 4.0), 4
# A smaller budget for searches than the default keeps the example short.
settings = Settings(direct_budget=2_000_000_000, efforts=(100_000_000, 200_000_000), last_effort=100_000_000)


def is_recovered(width, ratio, seed):
    """Return whether a network is recovered from `ratio` rows per parameter."""
    teacher = teachers.generic(n_features, width, rng=seed)
    n_rows = round(ratio * width * n_features)
    X, y = teacher.sample(n_rows, rng=seed + 100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = learn(scan_array(X, y), width, fit_bias=False, settings=settings).network
    return found.gaussian_distance(teacher.network) < 1e-6 * teacher.network.gaussian_norm()


recovered = [[[is_recovered(width, ratio, seed) for seed in range(n_networks)] for ratio in ratios] for width in widths]
shares = np.mean(recovered, axis=2)
print(shares)

_, ax = plt.subplots()
image = ax.imshow(shares, origin="lower", aspect="auto", vmin=0, vmax=1, cmap="viridis")
ax.set_xticks(range(len(ratios)), [f"{ratio:g}" for ratio in ratios])
ax.set_yticks(range(len(widths)), widths)
ax.set(xlabel="rows per parameter", ylabel="neurons", title="share of networks recovered")
plt.colorbar(image)

# %%
# Larger networks and other families are measured by ``python benches/efficiency.py``; :doc:`/benches` shows the result.
