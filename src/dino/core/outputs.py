"""The outputs of stages on disk: files, and folders that one stage fills."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TIMESTAMP = ".snakemake_timestamp"
"""The file that Snakemake puts into an output folder; its time counts as the folder's."""


def files_of(output: Path) -> tuple[Path, ...]:
    """The sorted files of `output`: the file itself, or all files below it if it is a folder."""
    if output.is_dir():
        below = (path for path in output.rglob("*") if path.is_file() and path.name != TIMESTAMP)
        return tuple(sorted(below))
    return (output,) if output.is_file() else ()


def is_there(output: Path) -> bool:
    """Whether `output` is a file, or a folder with a file in it."""
    return bool(files_of(output))


def same_files(first: Path, second: Path) -> bool:
    """Whether both outputs are links to the same files under the same names."""
    names = [[path.relative_to(output) for path in files_of(output)] for output in (first, second)]
    return names[0] == names[1] and all((first / name).samefile(second / name) for name in names[0])


def time_ns(output: Path) -> int:
    """The time at which `output` was written, as Snakemake sees it; 0 where there is nothing."""
    carrier = _carrier(output)
    return carrier.stat().st_mtime_ns if carrier.exists() else 0


def set_time(output: Path, ns: int) -> None:
    """Set the time that Snakemake sees for `output`; a missing output is left alone."""
    carrier = _carrier(output)
    if carrier.exists():
        os.utime(carrier, ns=(ns, ns))


def _carrier(output: Path) -> Path:
    return output / TIMESTAMP if (output / TIMESTAMP).is_file() else output


def remove(output: Path) -> None:
    """Remove a file or a folder; a missing one is left alone."""
    if output.is_dir() and not output.is_symlink():
        shutil.rmtree(output)
    else:
        output.unlink(missing_ok=True)


def link(source: Path, target: Path) -> None:
    """Make `target` a second name of the output `source`, with its time: it takes no space.

    On another file system it is a copy.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if not source.is_dir():
        try:
            os.link(source, target)
        except OSError:
            shutil.copy2(source, target)
        return
    target.mkdir()
    for path in files_of(source):
        link(path, target / path.relative_to(source))
    set_time(target, time_ns(source))


@contextmanager
def replacing_output(output: Path) -> Iterator[Path]:
    """A path beside `output` for a file or a folder that takes its place if the block ends well.

    What `output` was before stays until then. A folder is replaced whole: no file of the older one
    is left in it.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    draft, old = (output.with_name(f".{output.name}.{x}{os.getpid()}.tmp") for x in ("", "old."))
    try:
        remove(draft)
        yield draft
        if output.is_dir():
            # a folder that holds files cannot be replaced in one step
            remove(old)
            output.rename(old)
        draft.replace(output)
    finally:
        remove(draft)
        remove(old)
