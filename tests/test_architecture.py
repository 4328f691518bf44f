"""The map holds: layers, what may import what, what never imports torch, modules of one idea each."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "neurotransfer"
MODULES = sorted(SOURCE.rglob("*.py"))
STAGES = {"simulate", "prepare", "pretrain", "transfer", "predict", "benchmark", "report", "explain", "view"}
# stages meet through files; benchmark fits with transfer and pretrains the models that its study describes,
# predict reads the columns of a table as transfer does and prepares raw scans, simulate shares only the grid,
# pretrain learns from heads that simulate makes by the batch, and explain runs networks on scans as predict does, finetunes
# on shuffled labels, and asks simulate where a target truly acts
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


def part_of(path: Path) -> str:
    relative = path.relative_to(SOURCE)
    return relative.parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
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


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_is_one_idea_with_a_docstring(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 300
    assert ast.get_docstring(ast.parse(text)) or path.name == "__init__.py"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_parts_import_only_what_lies_below_them(path):
    part = part_of(path)
    if part in PARTS:
        assert own_imports(path) <= PARTS[part]


def test_every_folder_and_module_is_on_the_map():
    on_map = STAGES | set(PARTS) | {"cli", "workflow", "estimators", "__init__", "__main__"}
    assert {part_of(path) for path in MODULES} == on_map


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_stages_do_not_import_each_other(path):
    part = part_of(path)
    if part in STAGES:
        others = own_imports(path) & STAGES
        assert {(part, other) for other in others} <= MAY_CALL


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_module_below_the_face_imports_it(path):
    if part_of(path) not in {"cli", "__main__", "__init__", "workflow"}:
        assert not own_imports(path) & {"cli", "workflow", "estimators"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_only_fit_calls_backward(path):
    calls = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "backward"
    ]
    assert not calls or path == SOURCE / "training" / "fit.py"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_only_cohort_reads_images(path):
    loads = [name for name in imports_of(path) if name.split(".")[0] == "nibabel"]
    assert not loads or part_of(path) in {"cohort", "simulate"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_every_argument_is_typed(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            untyped = [arg.arg for arg in node.args.args + node.args.kwonlyargs if arg.annotation is None]
            assert set(untyped) <= {"self", "cls"}, f"{path}: {node.name}"


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
