"""`relunet.learn` as a module, for code that imports the driver from it.

The package attribute `relunet.learn` is the function until this module is imported, and this module afterwards. The
module can therefore be called like the function.
"""

import sys
from types import ModuleType
from typing import Any

from relunet.fitting.learn import FitResult, learn

__all__ = ["FitResult", "learn"]


class _CallableModule(ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> FitResult:
        return learn(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule
