"""Text for the names of files, which the system allows to be any bytes."""

import os


def in_utf8(path: str) -> str:
    """`path`, in which bytes that are not UTF-8 are written as \\xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def is_utf8(path: str) -> bool:
    """Whether files in UTF-8, which the project's tables are, can hold `path` as it is."""
    return in_utf8(path) == path


def on_one_line(path: str) -> str:
    """`path` for a message: control characters are written as escapes too."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in in_utf8(path)
    )
