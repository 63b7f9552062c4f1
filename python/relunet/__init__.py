"""relunet learns narrow one-hidden-layer ReLU networks from samples."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relunet import moments, teachers
    from relunet.distillation import distill
    from relunet.errors import (
        ArgumentError,
        DataError,
        DataTypeError,
        FileError,
        NotFittedError,
        NumericalError,
        RelunetError,
    )
    from relunet.estimators.regressor import ReLUNetRegressor
    from relunet.estimators.transformer import ReLUSubspace
    from relunet.fitting.learn import FitResult, learn
    from relunet.fitting.report import Report
    from relunet.network import NeuronMatch, ReLUNetwork
    from relunet.samples import Samples, scan_array, scan_arrow, scan_batches, scan_csv, scan_npy, scan_parquet

    __version__: str

__all__ = [
    "ArgumentError",
    "DataError",
    "DataTypeError",
    "FileError",
    "FitResult",
    "NeuronMatch",
    "NotFittedError",
    "NumericalError",
    "ReLUNetRegressor",
    "ReLUNetwork",
    "ReLUSubspace",
    "RelunetError",
    "Report",
    "Samples",
    "distill",
    "learn",
    "moments",
    "scan_array",
    "scan_arrow",
    "scan_batches",
    "scan_csv",
    "scan_npy",
    "scan_parquet",
    "teachers",
]

# Names are imported from their modules on first use, so that `import relunet` takes about a millisecond.
_MODULES = {
    "distillation": ["distill"],
    "errors": [
        "ArgumentError",
        "DataError",
        "DataTypeError",
        "FileError",
        "NotFittedError",
        "NumericalError",
        "RelunetError",
    ],
    "estimators": ["ReLUNetRegressor", "ReLUSubspace"],
    "fitting.learn": ["FitResult", "learn"],
    "fitting.report": ["Report"],
    "network": ["NeuronMatch", "ReLUNetwork"],
    "samples": ["Samples", "scan_array", "scan_arrow", "scan_batches", "scan_csv", "scan_npy", "scan_parquet"],
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}
_SUBMODULES = ["dask", "errors", "moments", "plan", "plots", "saved", "teachers", "theory"]


def __getattr__(name: str) -> Any:
    """Import a public name or module on first use; read the version of the installed distribution."""
    value: Any
    if name == "__version__":
        from importlib.metadata import version

        value = version("relunet")
    elif name in _MODULE_OF:
        value = getattr(import_module(f"relunet.{_MODULE_OF[name]}"), name)
    elif name in _SUBMODULES:
        value = import_module(f"relunet.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_SUBMODULES, "__version__"})
