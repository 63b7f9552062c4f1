"""
Rows on a Dask cluster
======================

Each worker sums its partitions, and only sums are transferred. The network is the same as on a single machine.
"""

import dask
import dask.array as da

from relunet import learn, scan_array, teachers
from relunet.dask import scan_dask

teacher = teachers.generic(10, 3, rng=0)
X, y = teacher.sample(30_000, rng=1)
with dask.config.set(scheduler="threads"):
    samples = scan_dask(da.from_array(X, chunks=(10_000, 10)), da.from_array(y, chunks=10_000))
    spread = learn(samples, n_neurons=3)
here = learn(scan_array(X, y), n_neurons=3)
print(spread.report)
print("distance from the fit on one machine:", spread.network.gaussian_distance(here.network))
