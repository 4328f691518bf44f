"""The bundles that come with the package are made from what lies in `web/`, and its own tests pass."""

import re
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WEB = ROOT / "web"
ASSETS = ROOT / "src" / "neurotransfer" / "pages" / "assets"
BUNDLES = ("page.js", "niivue.js", "LICENCES.txt")


def source_digest() -> str:
    digest = sha256()
    names = sorted(f"src/{path.name}" for path in (WEB / "src").iterdir())
    for name in ["build.mjs", "package-lock.json", *names]:
        digest.update(f"{name}\0".encode() + (WEB / name).read_bytes() + b"\0")
    return digest.hexdigest()


@pytest.mark.parametrize("name", ["page.js", "niivue.js"])
def test_a_bundle_is_made_from_these_sources(name):
    first = (ASSETS / name).read_text(encoding="utf-8").splitlines()[0]
    assert f"sources {source_digest()} " in first, "the bundles are older than their sources: run `make web`"


@pytest.mark.parametrize("name", ["page.js", "niivue.js"])
def test_a_bundle_can_stand_inside_a_page(name):
    text = (ASSETS / name).read_bytes()
    assert text.decode("utf-8")
    assert b"\r" not in text
    assert b"</script" not in text.lower()
    assert b"<!--" not in text
    assert b"sourceMappingURL" not in text


def test_bundles_are_as_large_as_they_are_said_to_be():
    assert 200_000 < (ASSETS / "page.js").stat().st_size < 400_000
    assert 700_000 < (ASSETS / "niivue.js").stat().st_size < 2_500_000


def test_every_package_that_is_bundled_has_its_licence():
    parts = (ASSETS / "LICENCES.txt").read_text(encoding="utf-8").split("-" * 80)
    named = {part.split()[0]: part for part in parts}
    for name in ("@observablehq/plot", "@niivue/niivue", "d3-shape", "gl-matrix", "nifti-reader-js", "fflate"):
        assert re.search(r"copyright", named[name], re.IGNORECASE)
        assert len(named[name]) > 500
    for part in parts:
        assert re.search(r"\((ISC|MIT|BSD-[23]-Clause)\)", part), part[:60]


def test_packages_are_pinned_and_no_registry_is_named():
    lock = (WEB / "package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in lock
    assert "registry" not in lock
    package = (WEB / "package.json").read_text(encoding="utf-8")
    assert not re.search(r'": "[\^~*]', package)


def node() -> str:
    found = shutil.which("node")
    if not found or not (WEB / "node_modules").is_dir():
        pytest.skip("no Node here, or no packages in web/node_modules (npm ci in web/)")
    return found


def test_the_tests_of_the_page_code_pass():
    names = sorted(str(path) for path in (WEB / "test").glob("*.test.js"))
    done = subprocess.run([node(), "--test", *names], cwd=WEB, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-4000:]
    assert re.search(r"^(#|ℹ) pass [1-9]\d", done.stdout, re.MULTILINE)


@pytest.mark.slow
def test_the_bundles_are_made_anew_to_the_byte(tmp_path):
    npm = shutil.which("npm")
    if not npm:
        pytest.skip("no npm on this machine")
    web = tmp_path / "web"
    shutil.copytree(WEB, web, ignore=shutil.ignore_patterns("node_modules"))
    got = subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=web, capture_output=True, text=True, timeout=300)
    if got.returncode:
        pytest.skip(f"the packages cannot be had: {got.stderr[-300:]}")
    made = tmp_path / "assets"
    made.mkdir()
    subprocess.run(["node", "build.mjs", str(made)], cwd=web, check=True, timeout=120)
    for name in BUNDLES:
        assert (made / name).read_bytes() == (ASSETS / name).read_bytes(), name
