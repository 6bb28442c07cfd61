"""Nothing is required that nothing uses."""

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

PROJECT = Path(__file__).parents[1]
NOT_IMPORTED = {
    "axe-playwright-python": "its file axe.min.js is read",
    "coverage": "a command",
    "dask": "its commands start a cluster",
    "ipykernel": "executes the notebooks",
    "jupyter-book": "a command",
    "myst-parser": "jupyter-book needs a version that fits",
    "nbclient": "nbval and papermill need a version that fits",
    "nbval": "a plug-in of pytest",
    "pydantic": "FuxiCTR needs it and does not say so",
    "pydata-sphinx-theme": "sphinx-book-theme needs a version that fits",
    "pytest-xdist": "a plug-in of pytest",
    "ray": "FuxiCTR needs it and does not say so",
    "ruff": "a command",
    "setuptools": "builds the package",
    "sphinx-book-theme": "the book's theme",
    "sphinx-proof": "an extension in _config.yml",
    "sphinxcontrib-bibtex": "the book's references",
}


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def required() -> set[str]:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    names = {plain(re.match(r"[A-Za-z0-9._-]+", line)[0]) for group in groups for line in group}
    return names - {plain(project["name"])}


def sources() -> Iterator[str]:
    for folder in ("paper_code", "tests"):
        for path in sorted((PROJECT / folder).rglob("*.py")):
            yield path.read_text(encoding="utf-8")
    for path in sorted((PROJECT / "book").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        yield "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def imported() -> set[str]:
    """The top-level modules that the project imports, be it in a function or by `import_module`."""
    found = set()
    for source in sources():
        for node in ast.walk(ast.parse(source)):
            match node:
                case ast.Import(names=names):
                    found |= {alias.name.split(".")[0] for alias in names}
                case ast.ImportFrom(module=str(module), level=0):
                    found.add(module.split(".")[0])
                case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name), args=[ast.Constant(str(module)), *_]):
                    found |= {module.split(".")[0]} if name in ("import_module", "importorskip") else set()
    return found


def test_every_requirement_is_imported_or_its_use_is_known():
    modules_of = {}
    for module, packages in packages_distributions().items():
        for package in packages:
            modules_of.setdefault(plain(package), set()).add(module)
    used = imported()
    idle = {
        name
        for name in required() - NOT_IMPORTED.keys()
        if used.isdisjoint(modules_of.get(name, {name.replace("-", "_")}))
    }
    assert idle == set()
