import subprocess
import sys
from pathlib import Path

import grimp
import pytest
import yaml

from dino.core import code_fingerprint as module
from dino.core.code_fingerprint import code_fingerprint

ROOT = Path(__file__).parents[2]
TRAINING = ("dino.training.pretrain", "dino.training.checkpoints")
PREPARATION = ("dino.data.preparation", "dino.data.sources.catalogue")


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """dino.training.loop, which imports dino.data.crops in a function, and two other modules."""
    files = {
        "training/loop": "import numpy\ndef crops():\n    from dino.data import crops\n",
        "data/crops": "from dino.core.seeding import seeded\nimport dino.training.loop\n",
        "data/archives": "",
        "core/seeding": "",
    }
    for name, text in files.items():
        path = tmp_path / "dino" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(module, "_SOURCES", tmp_path)
    return tmp_path / "dino"


@pytest.mark.parametrize(
    ("edited", "counts"),
    [
        ("training/loop", True),
        ("data/crops", True),
        ("data/archives", False),
        ("core/seeding", False),
    ],
)
def test_an_edit_counts_where_the_module_is_imported(sources, edited, counts):
    before = code_fingerprint("dino.training.loop")
    with (sources / f"{edited}.py").open("a") as file:
        file.write("edited = True\n")
    assert (code_fingerprint("dino.training.loop") != before) == counts


@pytest.mark.parametrize(("stage", "entries"), [("pretrain", TRAINING), ("prepare", PREPARATION)])
def test_the_sources_are_those_that_the_import_graph_names(stage, entries):
    graph = grimp.build_graph("dino", cache_dir=None)
    names = set(entries).union(*(graph.find_upstream_modules(entry) for entry in entries))
    files = {name: ROOT / "src" / f"{name.replace('.', '/')}.py" for name in names}
    expected = {n for n, f in files.items() if f.is_file() and not n.startswith("dino.core.")}
    found = module._sources(entries)
    assert set(found) == expected
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    deps = stages[stage].get("do", stages[stage])["deps"]
    assert {f"src/{name.replace('.', '/')}.py" for name in found} <= set(deps)


def test_a_process_that_has_loaded_nothing_has_the_same_fingerprint():
    script = f"""
from dino.core.code_fingerprint import code_fingerprint
print(code_fingerprint(*{TRAINING}))
"""
    bare = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    import dino.training.pretrain  # noqa: F401

    assert bare.stdout.strip() == code_fingerprint(*TRAINING)
