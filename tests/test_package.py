"""The package itself: its public names are imported on first use."""

from __future__ import annotations

import subprocess
import sys

import pytest

import relunet


def test_every_public_name_has_its_module():
    submodules = {name for name in relunet.__all__ if name in relunet._SUBMODULES}
    assert {*relunet._MODULE_OF, *submodules} == set(relunet.__all__)
    assert all(getattr(relunet, name) is not None for name in relunet.__all__)
    assert set(relunet.__all__) <= set(dir(relunet))


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import relunet", ["numpy", "relunet._relunet"]),
        ("from relunet import learn, ReLUNetRegressor", ["sklearn", "scipy", "pandas", "matplotlib", "dask"]),
    ],
)
def test_modules_that_are_not_needed_are_not_imported(code, absent):
    command = [sys.executable, "-c", f"import sys; {code}; print(*sys.modules)"]
    modules = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert not set(absent) & set(modules)


@pytest.mark.parametrize("module_first", [False, True])
def test_learn_is_a_function_and_a_module(module_first):
    code = "import relunet.learn\n" if module_first else ""
    code += "import relunet\nprint(relunet.learn(relunet.scan_array([[1.0], [2.0]], [1.0, 2.0])).report.n_rows)"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "2\n"


def test_names_that_do_not_exist():
    with pytest.raises(AttributeError, match="no attribute 'learner'"):
        relunet.learner  # noqa: B018
