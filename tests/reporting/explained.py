"""What `dino why` answers where everything still holds."""

from dino.core.paths import Project
from dino.reporting.why.explanation import explanation


def said(project: Project, asked: str) -> str:
    """The explanation of `asked`, which names no problem."""
    text, holds = explanation(project, asked)
    assert holds, text
    return text
