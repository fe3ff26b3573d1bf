"""The rules that hold the repository together, read off its own files."""

import ast
import importlib
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = ["retrieval", "tools", "verifiers", "agent", "rl", "tui"]  # each may import itself and what stands before it
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(source: Path) -> Iterator[str]:
    """The top-level name of every module that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(source.read_text(), str(source))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source}:{node.lineno} imports relatively; write the whole path"
            yield (node.module or "").partition(".")[0]


@cache
def installed() -> dict[str, set[str]]:
    """Each module that can be imported here, and the distributions that it comes from."""
    return {module: set(map(distribution, names)) for module, names in packages_distributions().items()}


def distribution(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match, requirement
    return re.sub(r"[-_.]+", "-", match[0]).lower()


def declared() -> set[str]:
    """Every distribution that pyproject.toml asks for, itself left out."""
    requirements = PROJECT["dependencies"] + [
        requirement for extra in PROJECT["optional-dependencies"].values() for requirement in extra
    ]
    return {distribution(requirement) for requirement in requirements} - {PROJECT["name"]}


@pytest.mark.parametrize("package", LAYERS)
def test_imports_go_one_way(package: str) -> None:
    above = set(LAYERS[LAYERS.index(package) + 1 :]) | {"tests"}
    wrong = [
        f"{source.relative_to(ROOT)} imports {name}"
        for source in sources(package)
        for name in imported(source)
        if name in above
    ]
    assert not wrong


@pytest.mark.parametrize("package", LAYERS)
def test_a_package_is_imported_from_this_repository(package: str) -> None:
    file = importlib.import_module(package).__file__
    assert file is not None
    assert Path(file).resolve() == ROOT / package / "__init__.py"


@pytest.mark.parametrize("package", LAYERS)
def test_every_folder_with_code_is_a_package_with_an_empty_init(package: str) -> None:
    for folder in {source.parent for source in sources(package)}:
        assert (folder / "__init__.py").read_text() == "", folder


@pytest.mark.parametrize("package", LAYERS)
def test_no_file_is_named_after_a_module_that_somebody_may_want_to_import(package: str) -> None:
    taken = sys.stdlib_module_names | {module for module, names in installed().items() if names & declared()}
    named = {path for source in sources(package) for path in (source, source.parent) if path != ROOT / package}
    assert not [path for path in named if path.stem in taken and path.name != "__init__.py"]


@pytest.mark.parametrize("package", LAYERS)
def test_a_package_imports_only_what_pyproject_declares(package: str) -> None:
    outside = {(name, source) for source in sources(package) for name in imported(source)}
    undeclared = [
        f"{source.relative_to(ROOT)} imports {name}"
        for name, source in outside
        if name not in {*LAYERS, *sys.stdlib_module_names}
        and not {distribution(name), *installed().get(name, ())} & declared()
    ]
    assert not undeclared


def test_every_dependency_has_its_reason_in_the_architecture_page() -> None:
    section = (ROOT / "docs/architecture.md").read_text().partition("\n## Dependencies\n")[2].partition("\n## ")[0]
    header, *rows = re.findall(r"^\| ([a-z0-9-]+) \| [a-z]* ?\| \S.*\|$", section, re.MULTILINE)
    assert header == "dependency"
    assert sorted(rows) == sorted(declared())


def test_every_dependency_is_pinned_in_the_constraints() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pins = dict(line.split("==") for line in lines)
    assert declared() <= pins.keys()
    assert len(pins) == len(lines), "one version of each"
    assert not [line for line in lines if "/" in line or "@" in line], "no addresses"


def test_the_wheel_holds_every_package_and_only_those() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert sorted(wheel["packages"]) == sorted(LAYERS)
