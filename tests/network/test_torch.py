"""Modules of PyTorch itself, where it is installed; test_exports.py uses a stand-in."""

import numpy as np
import pytest

from relunet import ReLUNetwork

torch = pytest.importorskip("torch")


def test_real_pytorch():
    """Values and gradients are those of the network, and the modules come back."""
    rng = np.random.default_rng(0)
    for outputs in ((), (2,)):
        network = ReLUNetwork(
            rng.standard_normal((3, 4)),
            rng.standard_normal((*outputs, 3)),
            rng.standard_normal(3),
            rng.standard_normal((*outputs, 4)),
            rng.standard_normal(outputs) if outputs else 0.5,
        )
        X = rng.standard_normal((50, 4))
        rows = torch.from_numpy(X)
        module, sequence = network.to_torch(), network.to_torch_sequential()
        expected = network.predict(X)
        np.testing.assert_allclose(module(rows).detach().numpy(), expected, atol=1e-12)
        np.testing.assert_allclose(sequence(rows).detach().numpy().reshape(expected.shape), expected, atol=1e-12)
        for back in (ReLUNetwork.from_torch(module), ReLUNetwork.from_torch(sequence)):
            np.testing.assert_allclose(back.predict(X).reshape(expected.shape), expected, atol=1e-12)
        moved = rows.clone().requires_grad_()
        module(moved).sum().backward()
        again = rows.clone().requires_grad_()
        sequence(again).sum().backward()
        np.testing.assert_allclose(moved.grad.numpy(), again.grad.numpy(), atol=1e-12)
