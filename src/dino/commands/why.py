"""why: say where a result came from. No stage of the workflow, and nothing is written."""

from dino.core.paths import Project
from dino.reporting.why.explanation import explanation


def execute(project: Project, asked: str) -> int:
    """Print the account of `asked`; the exit code is 1 if a file is no longer what it was."""
    text, holds = explanation(project, asked)
    print(text)
    return 0 if holds else 1
