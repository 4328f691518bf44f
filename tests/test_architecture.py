"""The map holds: layers, what may import what, what never imports torch, modules of one idea each."""

import ast
import subprocess
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "neurotransfer"
MODULES = sorted(SOURCE.rglob("*.py"))
STAGES = {
    "simulate",
    "prepare",
    "pretrain",
    "transfer",
    "predict",
    "benchmark",
    "report",
    "explain",
    "view",
    "diagnose",
}
# stages meet through files; benchmark fits with transfer and pretrains the models that its study describes,
# predict reads the columns of a table as transfer does and prepares raw scans, simulate shares only the grid,
# pretrain learns from heads that simulate makes by the batch, and explain runs networks on scans as predict does, finetunes
# on shuffled labels, and asks simulate where a target truly acts; diagnose reads and shows runs as report does and runs its
# experiments with benchmark; how layers move is told by what explain compares them by
MAY_CALL = {
    ("benchmark", "transfer"),
    ("benchmark", "pretrain"),
    ("predict", "transfer"),
    ("predict", "prepare"),
    ("pretrain", "simulate"),
    ("explain", "predict"),
    ("explain", "prepare"),
    ("explain", "transfer"),
    ("explain", "simulate"),
    ("diagnose", "report"),
    ("diagnose", "benchmark"),
    ("diagnose", "transfer"),
    ("diagnose", "explain"),
}
PARTS = {
    "errors": set(),
    "seeding": {"errors"},
    "progress": set(),
    "targets": {"errors"},
    "artifacts": {"errors"},
    "published": {"errors"},
    "workers": set(),
    "statistics": {"errors", "seeding", "targets"},
    "pages": {"errors", "artifacts"},
    "cohort": {"errors", "seeding", "targets", "artifacts", "workers"},
    "models": {"errors", "seeding", "targets", "artifacts", "cohort"},
    "training": {"errors", "seeding", "targets", "artifacts", "models"},
}
NO_TORCH = {
    "statistics",
    "pages",
    "view",
    "report",
    "simulate",
    "prepare",
    "cohort",
    "workers",
    "errors",
    "seeding",
    "targets",
    "artifacts",
    "progress",
    "published",
}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def nodes_of(path: Path) -> list[ast.AST]:
    return list(ast.walk(tree_of(path)))


def part_of(path: Path) -> str:
    relative = path.relative_to(SOURCE)
    return relative.parts[0].removesuffix(".py")


@cache
def imports_of(path: Path) -> set[str]:
    found = set()
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module} | {
                f"{node.module}.{name.name}" for name in node.names if node.module == "neurotransfer"
            }
    return found


def own_imports(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imports_of(path) if name.startswith("neurotransfer.")} - {part_of(path)}


def breakers(is_broken: Callable[[Path], object], modules: Iterable[Path] = MODULES) -> dict[str, object]:
    """What each module has that breaks a rule: one test a rule, because thousands of tests take a minute to collect."""
    found = {str(path.relative_to(SOURCE)): is_broken(path) for path in modules}
    return {name: broken for name, broken in found.items() if broken}


def calls_backward(path: Path) -> bool:
    return any(isinstance(node, ast.Attribute) and node.attr == "backward" for node in nodes_of(path))


def untyped_arguments(path: Path) -> list[str]:
    functions = [node for node in nodes_of(path) if isinstance(node, ast.FunctionDef)]
    arguments = [(node.name, arg) for node in functions for arg in node.args.args + node.args.kwonlyargs]
    return [
        f"{name}({arg.arg})" for name, arg in arguments if arg.annotation is None and arg.arg not in ("self", "cls")
    ]


def test_there_are_modules_to_judge():
    assert len(MODULES) > 200


def test_a_module_is_one_idea():
    assert breakers(lambda path: len(path.read_text().splitlines()) > 300) == {}


def test_a_module_says_what_it_is():
    modules = [path for path in MODULES if path.name != "__init__.py"]
    assert breakers(lambda path: not ast.get_docstring(tree_of(path)), modules) == {}


def test_parts_import_only_what_lies_below_them():
    modules = [path for path in MODULES if part_of(path) in PARTS]
    assert breakers(lambda path: own_imports(path) - PARTS[part_of(path)], modules) == {}


def test_every_folder_and_module_is_on_the_map():
    on_map = STAGES | set(PARTS) | {"cli", "workflow", "estimators", "__init__", "__main__"}
    assert {part_of(path) for path in MODULES} == on_map


def test_stages_do_not_import_each_other():
    modules = [path for path in MODULES if part_of(path) in STAGES]
    called = breakers(lambda path: {(part_of(path), other) for other in own_imports(path) & STAGES} - MAY_CALL, modules)
    assert called == {}


def test_no_module_below_the_face_imports_it():
    below = [path for path in MODULES if part_of(path) not in {"cli", "__main__", "__init__", "workflow"}]
    assert breakers(lambda path: own_imports(path) & {"cli", "workflow", "estimators"}, below) == {}


def test_only_fit_calls_backward():
    assert set(breakers(calls_backward)) == {"training/fit.py"}


def test_only_cohort_reads_images():
    modules = [path for path in MODULES if part_of(path) not in {"cohort", "simulate"}]
    assert breakers(lambda path: {name for name in imports_of(path) if name.split(".")[0] == "nibabel"}, modules) == {}


def test_every_argument_is_typed():
    assert breakers(untyped_arguments) == {}


def loaded_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint('|'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.strip().split("\n")[-1].split("|"))


@pytest.mark.parametrize("part", sorted(NO_TORCH))
def test_torch_is_not_imported_by(part):
    assert "torch" not in loaded_after(f"import neurotransfer.{part}")


def test_the_package_and_its_command_are_light():
    loaded = loaded_after("import neurotransfer, neurotransfer.cli")
    assert not loaded & {"torch", "pandas", "sklearn", "nilearn", "matplotlib", "scipy"}


def test_the_public_face_is_frozen():
    import neurotransfer

    assert sorted(neurotransfer.__all__) == [
        "BrainEmbedder", "TransferClassifier", "TransferRegressor", "learning_curve", "load_model", "read_cohort",
    ]  # fmt: skip
    for name in neurotransfer.__all__:
        assert callable(getattr(neurotransfer, name))
    with pytest.raises(AttributeError, match="learning_curve"):
        _ = neurotransfer.nothing_of_that_name
