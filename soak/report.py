"""What both reports have in common."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from benchmarks.machine import facts
from dino.core.artifacts import write_json, write_text
from dino.core.provenance import git_state


def parser(prog: str, description: str) -> ArgumentParser:
    """A parser that knows --seed and --output."""
    parser = ArgumentParser(prog=prog, description=description)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("results"), help="folder of the report")
    return parser


def origin(seed: int) -> dict[str, Any]:
    """Where and from what a result comes."""
    return {"seed": seed, "machine": facts(), "git": git_state(Path.cwd())}


def page(result: dict[str, Any], title: str, summary: str, header: str, rows: list[str]) -> str:
    """A result as Markdown; `header` is the table's first two lines."""
    machine = result["machine"]
    return "\n".join(
        [
            f"# {title}",
            "",
            summary,
            "",
            f"{machine['processor']}, {machine['cores']} cores, torch {machine['torch']}; commit "
            f"{result['git']['commit']}, seed {result['seed']}.",
            "",
            header,
            *rows,
            "",
        ]
    )


def save(folder: Path, name: str, result: dict[str, Any], text: str) -> None:
    """Write both files of a report and say where."""
    write_json(folder / f"{name}.json", result)
    write_text(folder / f"{name}.md", text)
    print(f"--- {folder / f'{name}.md'}")
