"""Rewrite the src/ lines of dvc.yaml: for each stage, every file that its module imports.

python workflow/code_dependencies.py            # after adding or removing an import
python workflow/code_dependencies.py --check    # exit code 1 if dvc.yaml is out of date
"""

import re
import sys
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
STAGE = re.compile(r"^  (\w+):\n(?:(?:    .*)?\n)+", re.MULTILINE)
CODE = re.compile(r"(?:( +)- src/.*\n)(?: +- src/.*\n)*")


def code_of(stage: str, graph: grimp.ImportGraph) -> list[str]:
    """The files that `dino.stages.{stage}` consists of, imports of imports included.

    Imports for type checkers alone do not run and do not count. Neither do the packages'
    __init__.py, which hold nothing but a docstring (a test sees to it). Files that are not Python,
    such as templates, belong to every module beside them.
    """
    module = f"dino.stages.{stage}"
    files = set()
    for name in {module, *graph.find_upstream_modules(module)}:
        path = ROOT / "src" / (name.replace(".", "/") + ".py")
        if path.is_file():
            files.add(path)
            files |= {p for p in path.parent.iterdir() if p.is_file() and p.suffix not in _CODE}
    return sorted(str(path.relative_to(ROOT)) for path in files)


_CODE = {".py", ".pyi", ".pyc"}


def updated(text: str) -> str:
    """`text` (dvc.yaml) with the lines that the imports ask for."""
    graph = grimp.build_graph("dino", exclude_type_checking_imports=True, cache_dir=None)

    def update(stage: re.Match[str]) -> str:
        files = code_of(stage[1], graph)

        def lines(old: re.Match[str]) -> str:
            return "".join(f"{old[1]}- {path}\n" for path in files)

        return CODE.sub(lines, stage[0], count=1)

    return STAGE.sub(update, text)


def main() -> int:
    """Rewrite or check, as the command line asks."""
    pipeline = ROOT / "dvc.yaml"
    old = pipeline.read_text(encoding="utf-8")
    new = updated(old)
    if new == old:
        return 0
    if "--check" in sys.argv[1:]:
        print("dvc.yaml: run `python workflow/code_dependencies.py`", file=sys.stderr)
        return 1
    pipeline.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
