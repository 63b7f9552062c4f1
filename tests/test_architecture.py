"""Rules of the architecture: which modules may import which, and where factorisations may be called."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "python" / "relunet"
PYTHON = sorted(PACKAGE.rglob("*.py"))
RUST = sorted((ROOT / "rust").glob("*/src/**/*.rs"))

# Rooms of the package from the ground up: a module imports its own room and those on floors below it.
FLOORS = (
    {"_relunet", "_typing", "errors"},
    {"linalg", "atomic", "threads"},
    {"network"},
    {"samples", "teachers"},
    {"moments", "progress"},
    {"fitting", "theory"},
    {"estimators", "saved", "dask", "distillation", "learn"},
    {"plan", "plots"},
    {"cli"},
    {"", "__main__"},
)
# Inside the fit: the stages import none of one another but the whitening and the inputs, and nothing above them.
FIT_FLOORS = (
    {"settings", "report", "rows"},
    {"stages.whitening", "leaving_out"},
    {"stages"},
    {"trace", "arguments", "rounds"},
    {"fit"},
    {"in_memory", "sketched"},
    {"joint.outputs", "joint.polish", "joint.choice", "joint.uncertainty"},
    {"joint.search"},
    {"joint.fit"},
    {"joint.driver", "joint.look", "joint"},
    {"learn", "look"},
    {"robust"},
)
# Rooms whose results have the same bits everywhere: their products and factorisations are those of `relunet.linalg`.
SAME_BITS = {"fitting", "network", "estimators", "saved", "theory"}
# The modules that call compiled code: everything else goes through them.
BORDER = {
    "linalg": "factorisations",
    "threads": "the bound of their number",
    "samples": "sources and their sweeps",
    "moments": "accumulators",
    "network": "values and Gaussian integrals",
    "fitting.stages.discovery": "the search",
    "fitting.stages.direct": "the search in all dimensions",
}
LOOSE_FILES = 16
EXTRAS = {
    "sklearn",
    "matplotlib",
    "pandas",
    "tqdm",
    "torch",
    "onnx",
    "dask",
    "distributed",
    "pyarrow",
    "scipy",
    "IPython",
}
PRODUCTS = {"dot", "vdot", "inner", "outer", "matmul", "einsum", "tensordot", "linalg"}


def name_of(path: Path) -> str:
    """Return the dotted name of a module of the package: fitting.learn, theory.moments, "" for the package itself."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").rstrip(".")


MODULES = {name_of(path) for path in PYTHON} | {"_relunet"}


def imported(tree: ast.AST, package: str = "relunet") -> Iterator[str]:
    """Return the dotted names that a syntax tree imports, relative ones resolved inside `package`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{source}.{alias.name}" for alias in node.names)


def modules_imported(source: str) -> set[str]:
    """Return the modules of the package that a module imports, wherever the statement stands."""
    found = set()
    for name in imported(ast.parse(source)):
        parts = name.split(".")
        if parts[0] == "relunet":
            dotted = ".".join(parts[1:])
            while dotted not in MODULES:
                dotted = dotted.rpartition(".")[0]
            found.add(dotted)
    return found


def floor_of(name: str, floors: tuple[set[str], ...]) -> int:
    """Return the floor of a module: that of the longest room whose name begins its own."""
    rooms = {room: floor for floor, names in enumerate(floors) for room in names}
    while name not in rooms:
        assert name, "a room of the house is missing from the floors"
        name = name.rpartition(".")[0]
    return rooms[name]


def upward(name: str, source: str) -> set[str]:
    """Return what a module imports from its own floor or from above it, its own room left out."""
    room = name.split(".")[0]
    found = set()
    for other in modules_imported(source):
        if other.split(".")[0] != room:
            if floor_of(other, FLOORS) >= floor_of(name, FLOORS):
                found.add(other)
        elif room == "fitting" and "fitting." in name and "fitting." in other and other != name:
            here, there = (each.removeprefix("fitting.") for each in (name, other))
            if "stages" in (here, there):
                continue
            if floor_of(there, FIT_FLOORS) >= floor_of(here, FIT_FLOORS):
                found.add(other)
    return found


def run_at_import(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Return the import statements that run when a module is imported: not those in functions or for type checkers."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from run_at_import(node.orelse)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for field in ("body", "orelse", "finalbody", "handlers"):
                for child in getattr(node, field, []):
                    yield from run_at_import(child.body if isinstance(child, ast.ExceptHandler) else [child])


def extras_at_import(source: str) -> set[str]:
    return {name.split(".")[0] for node in run_at_import(ast.parse(source).body) for name in imported(node)} & EXTRAS


def products(source: str) -> set[str]:
    """Return the matrix products and factorisations of NumPy that a module writes, whose bits depend on its BLAS."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.MatMult):
            found.add("@")
        elif isinstance(node, ast.Attribute) and node.attr in PRODUCTS and "_relunet" not in ast.unparse(node.value):
            found.add(ast.unparse(node))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("numpy"):
            found |= {alias.name for alias in node.names} & PRODUCTS | (
                {"linalg"} if "linalg" in str(node.module) else set()
            )
    return found


def circles(arrows: dict[str, set[str]]) -> set[str]:
    """Return the modules that import themselves by way of others."""
    left = {name: set(targets) for name, targets in arrows.items()}
    while done := {name for name, targets in left.items() if not targets & left.keys()}:
        left = {name: targets for name, targets in left.items() if name not in done}
    return set(left)


def test_checkers_find_what_they_look_for():
    assert upward("moments.sweeping", "from relunet.samples import Samples\nimport relunet.errors") == set()
    assert upward("samples.files", "from relunet.moments import sweep") == {"moments"}
    assert upward("fitting.stages.polish", "def f():\n    from relunet.fitting.learn import learn") == {"fitting.learn"}
    stages = "from relunet.fitting.stages import scales, whitening"
    assert upward("fitting.stages.polish", stages) == {"fitting.stages.scales"}
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == {"a", "b", "c"}
    assert extras_at_import("try:\n    import torch.nn\nexcept ImportError:\n    import tqdm") == {"torch", "tqdm"}
    assert extras_at_import("class A:\n    from sklearn import base") == {"sklearn"}
    lazy = "if TYPE_CHECKING:\n    import dask\ndef f():\n    import matplotlib"
    assert extras_at_import(lazy) == set()
    assert products("a @ b") == {"@"}
    assert products("a @= b") == {"@"}
    assert products("np.linalg.eigh(a)\nx.dot(y)\nnumpy.einsum('i,i', a, a)") == {"np.linalg", "x.dot", "numpy.einsum"}
    assert products("from numpy.linalg import svd\nfrom numpy import dot") == {"linalg", "dot"}
    assert products("@decorated\ndef f(): _relunet.linalg.matmul(a, b)") == set()


@pytest.mark.parametrize("path", PYTHON, ids=name_of)
def test_python_module(path):
    source, name = path.read_text(), name_of(path)
    assert ast.get_docstring(ast.parse(source)), "opens with a sentence on what it is for"
    assert not extras_at_import(source), "extras are imported where they are used"
    assert not upward(name, source), "arrows point down"
    if name.split(".")[0] in SAME_BITS:
        assert not products(source), "products and factorisations are those of relunet.linalg"
    if "_relunet" in modules_imported(source):
        assert any(name == room or name.startswith(f"{room}.") for room in BORDER), "one way over the border"
    assert len(re.findall(r"^Array\b.*= NDArray", source, flags=re.MULTILINE)) == (name == "_typing")


def test_no_modules_import_one_another():
    arrows = {name_of(path): modules_imported(path.read_text()) - {name_of(path)} for path in PYTHON}
    # A package's own __init__ gathers its modules.
    packages = {name for name in arrows if any(other.startswith(f"{name}.") for other in arrows)}
    inner = {name: {other for other in targets if other not in packages} for name, targets in arrows.items()}
    assert not circles({name: targets for name, targets in inner.items() if name not in packages})


def test_few_files_are_loose():
    assert len(list(PACKAGE.glob("*.py"))) <= LOOSE_FILES


@pytest.mark.parametrize("path", RUST, ids=lambda path: str(path.relative_to(ROOT)))
def test_rust_module(path):
    source = path.read_text()
    assert source.startswith("//! "), "opens with a sentence on what it is for"
    if path.relative_to(ROOT).parts[1] == "core":
        assert not re.search(r"\bpyo3\b", source), "the core never sees Python"
        assert path.name == "linalg.rs" or not re.search(r"\bfaer\b", source), "linalg alone uses faer"
        assert "general_mat_mul" not in source, "dense products are those of linalg or kernels"


def test_core_does_not_depend_on_python():
    manifest = tomllib.loads((ROOT / "rust" / "core" / "Cargo.toml").read_text())
    depended = {name for key, table in manifest.items() if key.endswith("dependencies") for name in table}
    assert "rayon" in depended, "the manifest was read"
    assert not depended & {"pyo3", "numpy", "pyo3-ffi"}
