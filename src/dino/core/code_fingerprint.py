"""A checksum of the code that a result depends on."""

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path

_SOURCES = Path(__file__).parents[2]


def code_fingerprint(*modules: str) -> str:
    """The SHA-256 of the sources of `modules` and of all modules of dino that they import.

    The modules of core do not count: what they decide stands in the parameters. The sources are
    found by their import statements, not by what is loaded, so that every process that computes
    the same result has the same fingerprint.
    """
    digest = hashlib.sha256()
    for name, source in sorted(_sources(modules).items()):
        digest.update(name.encode() + b"\0" + source)
    return digest.hexdigest()


def _sources(modules: tuple[str, ...]) -> dict[str, bytes]:
    """The source of each module by its name; packages' __init__.py hold a docstring alone."""
    found: dict[str, bytes] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        path = _SOURCES / f"{name.replace('.', '/')}.py"
        if name in found or name.startswith("dino.core.") or not path.is_file():
            continue
        found[name] = path.read_bytes()
        waiting += _imported(found[name])
    return found


def _imported(source: bytes) -> Iterator[str]:
    """The names that import statements anywhere in `source` may mean modules by."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
