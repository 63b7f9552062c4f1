"""The rules of the house: which module may import what, and who may factorise."""

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

STAGES = {"inputs", "subspace", "discovery", "scales", "orientation", "polish", "validation"}
DRIVERS = {"fitting.learn", "fitting.look", "fitting.fit", "fitting.in_memory", "fitting.sketched", "saved"}
SAME_BITS = (
    {f"fitting.stages.{stage}" for stage in STAGES | {"whitening"}}
    | DRIVERS
    | {f"network.{module}" for module in ("network", "parameters", "canonical", "matching")}
)
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
    """Return the dotted name of a module of the package: learn, theory.population, "" for the package itself."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").rstrip(".")


def imported(tree: ast.AST, package: str = "relunet") -> Iterator[str]:
    """Return the dotted names that a syntax tree imports, relative ones resolved inside `package`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            yield source
            yield from (f"{source}.{alias.name}" for alias in node.names)


def stages_imported(source: str) -> set[str]:
    parts = (name.split(".") for name in imported(ast.parse(source)))
    return {part[3] for part in parts if part[:3] == ["relunet", "fitting", "stages"] and len(part) > 3} & STAGES


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


def test_checkers_find_what_they_look_for():
    assert stages_imported("from relunet.fitting.stages import polish\nimport relunet.fitting.stages.scales") == {
        "polish",
        "scales",
    }
    assert stages_imported("def f():\n    from relunet.fitting.stages.discovery import search") == {"discovery"}
    assert stages_imported("from relunet.fitting.learn import learn") == set()
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
    if name not in DRIVERS:
        assert not stages_imported(source), "only drivers import the stages"
    if name in SAME_BITS or name.startswith("theory."):
        assert not products(source), "products and factorisations are those of relunet._relunet"


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


def test_stages_are_in_their_rooms():
    assert {name_of(path) for path in PYTHON} >= SAME_BITS
