"""
A file on disk
==============

Rows are streamed in blocks, as often as the fit needs them. The file of this example is small, so that the page is
built quickly; a file larger than memory is fitted in the same way.
"""

import tempfile
from pathlib import Path

import numpy as np

from relunet import learn, scan_npy, teachers

teacher = teachers.biased(12, 4, rng=0)
folder = tempfile.TemporaryDirectory()
path = Path(folder.name)
X, y = teacher.sample(200_000, rng=1)
np.save(path / "x.npy", X)
np.save(path / "y.npy", y)
del X, y

samples = scan_npy(path / "x.npy", path / "y.npy")
print(samples)
result = learn(samples)
print(result.report)

# %%
# A network is saved with its arrays only, and loaded without running code.

result.network.save(path / "network.safetensors")
print((path / "network.safetensors").stat().st_size, "bytes")
print("distance from the truth:", result.network.gaussian_distance(teacher.network))
folder.cleanup()
