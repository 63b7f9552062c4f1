"""
The paper's algorithm, step by step
===================================

Algorithm 1 of [CDGKM23] on the exact moments of a known network: no noise, so that its steps can be watched.
"""

import matplotlib.pyplot as plt
import numpy as np

from relunet import teachers
from relunet.theory import MultiScaleLearner, PopulationMoments

network = teachers.close_pair(8, 3, rng=0).network
moments = PopulationMoments(network)

# %%
# Step 1: contract the moment tensors of even degree with a random direction (Lemmas 3 and 7). The matrices are sums of
# the neurons' projections, weighted by powers of their inner products with the direction.

g = np.random.default_rng(1).standard_normal(8)
g /= np.sqrt(g @ g)
matrices = moments.moments([2, 4, 6], g[None])
_, ax = plt.subplots()
for degree, matrix in matrices.items():
    values = np.sort(np.abs(np.linalg.eigvalsh(matrix.reshape(8, 8))))[::-1]
    ax.semilogy(np.arange(1, 9), np.maximum(values, 1e-18), "o-", label=f"degree {degree}")
ax.set(xlabel="eigenvalue", ylabel="size", title="Three directions over rounding")
ax.legend()

# %%
# Step 2: search the neurons in the joint span, subtract what is found, look at the residual, and go on (Lemmas 10, 13,
# 18); step 3: validate the candidates (Lemma 20). The learner does both, and raises ``Fail`` rather than return an
# estimate that was not validated.

estimate = MultiScaleLearner(3).learn(moments)
print(estimate.network)
print("relative error:", estimate.network.gaussian_distance(network) / network.gaussian_norm())
