"""Configuration of the Sphinx site, which `make docs` builds with warnings as errors and without a network."""

from __future__ import annotations

import re
import warnings
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

project = "relunet"
author = "the relunet developers"
copyright = "the relunet developers, MIT or Apache-2.0"
release = installed_version("relunet")
version = release

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    # Copies MathJax and its fonts into the site, so that formulas are drawn without a network.
    "sphinx-mathjax-offline",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]

source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["gallery/*", "auto_gallery/*.ipynb", "auto_gallery/*.py"]
templates_path = ["_templates"]
default_role = "py:obj"
# Pages link to sections of other pages by the names that repository viewers give them.
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "dollarmath"]
# Commands are shown with their prompt and what they print; the button copies the commands alone.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# The configuration holds a function, reset_modules, and cannot be cached between builds.
suppress_warnings = ["config.cache"]

autosummary_generate = True
toc_object_entries_show_parents = "hide"
autodoc_typehints = "none"
autodoc_member_order = "bysource"
# Members are listed by autodoc, once, on the page of their class.
numpydoc_show_class_members = False
numpydoc_attributes_as_param_list = True

html_theme = "pydata_sphinx_theme"
html_title = "relunet"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_theme_options = {
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
    "pygments_light_style": "tango",
    "pygments_dark_style": "monokai",
}


def plain_figures(gallery_conf: dict[str, Any], fname: str) -> None:
    """Give every example the same figures: dark ink on white, which both colour schemes of the site show as a card."""
    import matplotlib.pyplot as plt

    plt.rcdefaults()
    plt.rcParams.update(
        {
            "figure.figsize": (7.0, 3.8),
            "figure.constrained_layout.use": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.prop_cycle": plt.cycler(color=["#1f6f8b", "#c8553d", "#e09f3e", "#5b8c5a", "#6d597a"]),
            "legend.frameon": False,
            "font.size": 10,
        }
    )


sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "FileNameSortKey",
    "reset_modules": (plain_figures,),
    "image_scrapers": ("matplotlib",),
    "abort_on_example_error": True,
    "only_warn_on_example_error": False,
    "download_all_examples": False,
    "default_thumb_file": str(Path(__file__).with_name("demo.png")),
    # The page of computation times loads scripts from a network.
    "write_computation_times": False,
    "show_memory": False,
    "show_signature": False,
    "doc_module": ("relunet",),
    "reference_url": {"relunet": None},
}
warnings.filterwarnings("ignore", message="Matplotlib is currently using agg", category=UserWarning)


def skip_tuple_fields(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out the fields of named tuples, which the section "Attributes" of the class describes."""
    return True if (getattr(obj, "__doc__", None) or "").startswith("Alias for field number") else None


def escape_marks(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Escape |x| and trailing_ names in prose: docstrings are written to be read in a terminal."""
    in_math = False
    for i, line in enumerate(lines):
        if line.strip():
            in_math = line.lstrip().startswith(".. math::") or (in_math and line.startswith(" "))
        if in_math or line.lstrip().startswith((">>>", "...")):
            continue
        parts = re.split(r"(``.*?``|`[^`]*`)", line)
        for j in range(0, len(parts), 2):
            parts[j] = re.sub(r"(?<!\\)\|", r"\|", parts[j])
            parts[j] = re.sub(r"(?<![\w\\])([A-Za-z]\w*)_(?!\w)", r"\1\_", parts[j])
        lines[i] = "".join(parts)


def setup(app: Any) -> None:
    """Register the hooks of autodoc; docstrings are escaped after numpydoc has read them."""
    app.connect("autodoc-skip-member", skip_tuple_fields)
    app.connect("autodoc-process-docstring", escape_marks, priority=900)
