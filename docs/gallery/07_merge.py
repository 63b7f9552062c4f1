"""
Sums that are merged
====================

Rows may be on several machines, or arrive over months. Each part is summed where it is, the sums are stored as bytes
and merged, and the network is fitted to the merged sums. Only the rows that the sums sample are kept.
"""

import numpy as np

from relunet import saved, teachers
from relunet.moments import InputMoments, RowSample

teacher = teachers.generic(8, 3, rng=0)
parts = [teacher.sample(n, rng=seed) for seed, n in enumerate((4_000, 9_000, 2_500))]

stored = []
for X, y in parts:
    inputs, rows = InputMoments(8), RowSample(8, 2**61, seed=7)
    inputs.update(X, y)
    rows.update(X, y)
    stored.append((inputs.to_bytes(), rows.to_bytes()))
print([len(a) + len(b) for a, b in stored], "bytes")

# %%
# On the machine that fits:

inputs, rows = InputMoments.from_bytes(stored[0][0]), RowSample.from_bytes(stored[0][1])
for more_inputs, more_rows in stored[1:]:
    inputs.merge(InputMoments.from_bytes(more_inputs))
    rows.merge(RowSample.from_bytes(more_rows))
print(inputs.n_rows, "rows")

result = saved.fit(inputs, rows, n_neurons=3)
print(result.report.status, result.network.gaussian_distance(teacher.network))
np.testing.assert_allclose(inputs.mean, np.concatenate([X for X, _ in parts]).mean(axis=0), atol=1e-12)
