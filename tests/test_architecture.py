"""The house rules that a machine can check: arrows, purity, who may touch what.

The picture is in CONTRIBUTING.md. Everything here reads source text; only the console
scripts at the end are imported and asked for help.
"""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("cli", "contract", "dsl", "schedd", "startd")
OURS = frozenset(PACKAGES)

SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
PURE = [path for path in SOURCES if "core" in path.parts or path.is_relative_to(ROOT / "dsl")]

SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]

MAY_IMPORT = {
    "cli": {"contract", "dsl"},
    "contract": set(),
    "dsl": set(),
    "schedd": {"contract", "dsl"},
    "startd": {"contract", "dsl"},
}

CORE_MAY_IMPORT = ("dsl", "contract.vocabulary", "contract.messages", "contract.requests", "contract.problems")

IMPURE_MODULES = {
    "aiosqlite", "asyncio", "concurrent", "fcntl", "getpass", "glob", "http", "io", "locale", "logging",
    "multiprocessing", "os", "pathlib", "platform", "podman", "psutil", "pynvml", "random", "resource", "rich", "sanic",
    "secrets", "select", "selectors", "shutil", "signal", "socket", "sqlite3", "ssl", "subprocess", "sys", "tempfile",
    "threading", "time", "urllib", "uuid", "websockets",
}

HARMLESS = re.compile(r"signal\.SIG\w+|os\.(sep|strerror|path|path\.(basename|dirname|join|normpath|split|splitext))")
"""Names of impure modules that are plain values or compute only."""

IMPURE_CALLS = {"open", "print", "input", "exec", "eval", "breakpoint"}

CLOCK_READINGS = {"now", "utcnow", "today"}

ENDLESS = {
    "schedd/collector.py": "removes contents that nothing refers to",
    "schedd/loop.py": "commits groups of events, and lets time pass",
    "schedd/logs.py": "writes the logs that users asked for",
    "schedd/delivery.py": "puts outputs where the submit file wants them",
    "startd/connection.py": "stays connected to the schedd, and speaks to it",
    "startd/images/stock.py": "keeps the images of the machine within their bound",
    "startd/looking.py": "looks at the machine, its GPUs, its owner, and at progress",
}
"""Every file with a loop that has a life of its own, and what it lives for."""


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of everything imported anywhere in the file, late imports too."""
    package = module_of(path).split(".") if path.name == "__init__.py" else module_of(path).split(".")[:-1]
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def within(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def at(path: Path, line: int, what: str) -> str:
    return f"{path.relative_to(ROOT)}:{line}: {what}"


def nothing_wrong(wrong: Iterable[str]) -> None:
    complaint = "\n".join(wrong)
    assert not complaint, complaint


def calls_of(path: Path) -> Iterator[tuple[int, ast.expr]]:
    yield from ((node.lineno, node.func) for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call))


# --- arrows ---


def test_programs_never_import_each_other_and_arrows_point_inward():
    wrong = [
        at(path, line, f"imports {module}")
        for path in SOURCES
        for line, module in imports_of(path)
        for mine, theirs in [(module_of(path).split(".")[0], module.split(".")[0])]
        if theirs in OURS and theirs != mine and theirs not in MAY_IMPORT[mine]
    ]
    nothing_wrong(wrong)


def test_core_imports_only_values_and_other_core():
    wrong = [
        at(path, line, f"imports {module}")
        for path in SOURCES
        if "core" in path.parts
        for own_core in [".".join(module_of(path).split(".")[:2])]
        for line, module in imports_of(path)
        if within(module, *OURS) and not within(module, own_core, *CORE_MAY_IMPORT)
    ]
    nothing_wrong(wrong)


def test_no_program_imports_the_tests():
    nothing_wrong(
        at(path, line, f"imports {module}")
        for path in SOURCES
        for line, module in imports_of(path)
        if within(module, "tests", "pytest", "hypothesis")
    )


def test_sql_lives_in_the_store_alone():
    nothing_wrong(
        at(path, line, f"imports {module}")
        for path in SOURCES
        if not path.is_relative_to(ROOT / "schedd" / "store")
        for line, module in imports_of(path)
        if within(module, "sqlite3", "aiosqlite")
    )


# --- purity ---


def test_core_and_dsl_import_nothing_that_acts():
    nothing_wrong(
        at(path, line, f"imports {module}")
        for path in PURE
        for line, module in imports_of(path)
        if module.split(".")[0] in IMPURE_MODULES and not is_harmless(path, module)
    )


def is_harmless(path: Path, module: str) -> bool:
    """Whether what is imported, or all that is used of it, is in HARMLESS."""
    uses = {ast.unparse(node) for node in ast.walk(tree_of(path)) if isinstance(node, ast.Attribute)}
    of_module = {use for use in uses if re.fullmatch(r"[\w.]+", use) and within(use, module)} or {module}
    return all(HARMLESS.fullmatch(use) for use in of_module)


def test_core_and_dsl_have_no_async():
    concurrent = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)
    nothing_wrong(
        at(path, node.lineno, type(node).__name__)
        for path in PURE
        for node in ast.walk(tree_of(path))
        if isinstance(node, concurrent)
    )


def test_core_and_dsl_call_nothing_that_acts_and_read_no_clock():
    wrong = []
    for path in PURE:
        for line, function in calls_of(path):
            match function:
                case ast.Name(id=name) if name in IMPURE_CALLS:
                    wrong.append(at(path, line, f"calls {name}()"))
                case ast.Attribute(value=ast.Name(id="datetime" | "date"), attr=name) if name in CLOCK_READINGS:
                    wrong.append(at(path, line, f"reads the clock by {name}()"))
    nothing_wrong(wrong)


def test_every_loop_with_a_life_of_its_own_is_in_the_list():
    assert {path.relative_to(ROOT).as_posix() for path in SOURCES if lives_on(path)} == ENDLESS.keys()


def lives_on(path: Path) -> bool:
    """Whether the file has a loop that awaits and has no end: neither break nor return."""
    loops = (node for node in ast.walk(tree_of(path)) if isinstance(node, ast.While))
    return any(
        isinstance(loop.test, ast.Constant)
        and any(isinstance(node, ast.Await) for node in ast.walk(loop))
        and not any(isinstance(node, ast.Break | ast.Return) for node in ast.walk(loop))
        for loop in loops
    )


# --- the tests themselves ---


def test_no_folder_of_tests_is_a_package():
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_no_test_sleeps():
    nothing_wrong(
        at(path, line, "sleeps")
        for path in TESTS
        for line, function in calls_of(path)
        if ast.unparse(function) in {"sleep", "time.sleep", "asyncio.sleep"}
    )


def test_no_test_mocks_or_skips():
    wrong = [
        at(path, line, f"imports {module}")
        for path in TESTS
        for line, module in imports_of(path)
        if within(module, "unittest.mock", "pytest_mock")
    ]
    wrong += [
        at(path, node.lineno, ast.unparse(node))
        for path in TESTS
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in {"pytest.mark.skip", "pytest.skip", "pytest.xfail"}
    ]
    nothing_wrong(wrong)


# --- what a reader finds ---


def test_every_package_says_what_is_in_it():
    bare = [
        path.relative_to(ROOT).as_posix()
        for path in SOURCES
        if path.name == "__init__.py" and len(ast.get_docstring(tree_of(path)) or "") < 20
    ]
    nothing_wrong(bare)


def test_every_folder_with_source_is_a_package():
    assert {path.parent for path in SOURCES} == {path.parent for path in SOURCES if path.name == "__init__.py"}


def test_every_module_says_its_duty():
    nothing_wrong(module_of(path) for path in SOURCES if not ast.get_docstring(tree_of(path)))


def test_the_package_contract_lists_all_its_modules():
    listed = set(re.findall(r"^\* `(\w+)`", ast.get_docstring(tree_of(ROOT / "contract/__init__.py")) or "", re.M))
    assert listed == {path.stem for path in (ROOT / "contract").glob("*.py")} - {"__init__"}


MACHINE_PATHS = re.compile(r"(?<![\w.$}/*-])/(?:" + "|".join(("work", "root", "farm")) + r")(?:/|\b(?![\w-]))")

NOT_OURS = {".git", ".venv", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", "__pycache__", "dist"}


def files_of_the_repository() -> Iterator[Path]:
    for path in sorted(ROOT.rglob("*")):
        if path.is_file() and not NOT_OURS.intersection(path.relative_to(ROOT).parts):
            yield path


def test_no_file_names_a_folder_of_somebodys_machine():
    wrong = []
    for path in files_of_the_repository():
        try:
            lines = path.read_text("utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        wrong += [at(path, number, line.strip()) for number, line in enumerate(lines, 1) if MACHINE_PATHS.search(line)]
    nothing_wrong(wrong)


PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]


def test_every_relative_link_in_the_docs_leads_somewhere():
    nothing_wrong(
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    )


def test_every_file_that_the_docs_name_is_there():
    named = re.compile(rf"\b(?:{'|'.join((*PACKAGES, 'tests', 'docs'))})/[\w./-]*\.(?:py|md|lark)\b")
    nothing_wrong(
        f"{page.relative_to(ROOT)}: {name}"
        for page in PAGES
        for name in named.findall(page.read_text("utf-8"))
        if not (ROOT / name).exists() and not (page.parent / name).exists()
    )


def test_every_command_that_the_docs_name_is_there():
    nothing_wrong(
        f"{page.relative_to(ROOT)}: {name}"
        for page in PAGES
        for name in re.findall(r"\bpesc_[a-z]+\b", page.read_text("utf-8"))
        if name not in SCRIPTS
    )


# --- commands ---

SLOW_TO_IMPORT = ("aiosqlite", "asyncio", "lark", "numpy", "podman", "rich", "sanic", "websockets")


def run_python(code: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("command", SCRIPTS)
def test_every_command_has_a_help_with_an_example(command):
    module, function = SCRIPTS[command].split(":")
    asked = run_python(f"import sys; from {module} import {function}; sys.argv[0] = {command!r}; "
                       f"sys.exit({function}())", "--help")
    assert (asked.stderr, asked.returncode) == ("", 0)
    assert re.search(r"(?i)\bexamples?\b[\s\S]*\b" + command, asked.stdout)


@pytest.mark.parametrize("command", [name for name, target in SCRIPTS.items() if target.startswith("cli.")])
def test_no_command_loads_what_it_may_not_need(command):
    """A command answers in a tenth of a second only if it imports late and little."""
    module = SCRIPTS[command].split(":")[0]
    loaded = run_python(f"import sys, {module}; print(*[name for name in {SLOW_TO_IMPORT!r} if name in sys.modules])")
    assert (loaded.stderr, loaded.stdout.strip()) == ("", "")
