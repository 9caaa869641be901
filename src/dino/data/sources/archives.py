"""Archives: checked, unpacked once, and nothing of them lands elsewhere."""

import hashlib
import lzma
import os
import shutil
import socket
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dino.core.errors import DataError
from dino.core.file_names import on_one_line
from dino.data.sources.split_names import split_called

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")
_NETWORK_TIMEOUT_S = 60
# what macOS adds to a zip file: a folder of other attributes
_OF_MACOS = "__MACOSX"
_UNPACKING_ERRORS = (
    OSError,
    EOFError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    # an encrypted or unknown member of a zip file
    RuntimeError,
)


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A published archive, with the checksum that its publisher (or torchvision) states."""

    url: str | None
    """None: has to be asked for."""
    name: str
    md5: str


def is_archive(path: Path) -> bool:
    """Whether `path` is called like an archive that `unpacked` knows."""
    return path.name.lower().endswith(SUFFIXES)


def located(
    path: Path | None,
    member: str,
    archives: Sequence[Archive],
    downloads: Path,
    title: str,
    below: Sequence[str] = ("",),
) -> Path:
    """The folder that holds `member`, a part of the data set called `title`.

    It is one of `below` in `path`; or, where `path` holds the archives, in what they hold, which
    is unpacked below `downloads`. Where `path` is None the archives are downloaded. Raises
    `DataError` that says what was expected.
    """

    def holder(folder: Path) -> Path | None:
        return next((folder / name for name in below if (folder / name / member).exists()), None)

    source = path
    if source is None:
        source = downloads / "archives"
        for archive in archives:
            _fetch(archive, source, title)
    elif found := holder(source):
        return found.resolve()
    for archive in archives:
        if not (source / archive.name).is_file():
            raise DataError(
                f"{source}: expected {title}'s {member} there, or the archive {archive.name}, "
                "found neither; correct path in params.yaml"
            )
    folder = downloads / "unpacked" / archives[0].md5
    for archive in archives:
        unpack(source / archive.name, folder, archive.md5)
    if found := holder(folder):
        return found.resolve()
    raise DataError(f"{source}: expected {member} in {title}'s archives, found none")


def unpacked(path: Path, downloads: Path) -> Path:
    """The folder with what the archive at `path` holds; a single folder in it is that folder,
    unless it is one of a split.
    """
    status = path.stat()
    key = f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}"
    folder = downloads / "unpacked" / hashlib.sha256(os.fsencode(key)).hexdigest()[:32]
    unpack(path, folder)
    entries = [
        entry for entry in folder.iterdir() if entry.name[0] != "." and entry.name != _OF_MACOS
    ]
    single = len(entries) == 1 and entries[0].is_dir() and split_called(entries[0].name) is None
    return entries[0] if single else folder


def unpack(path: Path, folder: Path, md5: str | None = None) -> None:
    """Unpack the archive at `path` to `folder`, unless that was done.

    Raises `DataError` for a wrong checksum, a damaged archive and a member that would land outside
    `folder`.
    """
    done = folder.with_name(f"{folder.name}.{path.name}.unpacked")
    if done.is_file() and folder.is_dir():
        return
    if md5 is not None:
        verify_md5(path, md5)
    folder.mkdir(parents=True, exist_ok=True)
    print(f"unpacking {on_one_line(str(path))} ...", flush=True)
    try:
        if path.name.lower().endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                for member in archive.infolist():
                    _check_member(path, folder, member.filename)
                archive.extractall(folder)
        else:
            with tarfile.open(path) as tar:
                # refuses absolute paths, links and members that lead out of the folder, devices
                tar.extractall(folder, filter="data")
    except _UNPACKING_ERRORS as error:
        # with what other archives left there, which are unpacked again
        for other in folder.parent.glob(f"{folder.name}.*.unpacked"):
            other.unlink()
        shutil.rmtree(folder, ignore_errors=True)
        reason = " ".join(str(error).split())
        raise DataError(
            f"{path}: cannot be unpacked ({reason}); it is damaged or unsafe, fetch it again"
        ) from None
    done.touch()


def verify_md5(path: Path, md5: str) -> None:
    """Raise `DataError` unless the file at `path` has the MD5 that its publisher states."""
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "md5").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    if digest != md5:
        raise DataError(f"{path}: wrong checksum, expected md5 {md5}, got {digest}; fetch it again")


def _check_member(path: Path, folder: Path, name: str) -> None:
    target = (folder / name).resolve()
    if not target.is_relative_to(folder.resolve()) or name.startswith(("/", "\\")):
        raise DataError(f"{path}: its member {name!r} leads out of the archive; do not use it")


def _fetch(archive: Archive, folder: Path, title: str) -> None:
    if (folder / archive.name).is_file():
        return
    if archive.url is None:
        raise DataError(
            f"{title} cannot be downloaded without asking its publisher for {archive.name}; "
            "set path in params.yaml to a folder with it"
        )
    from torchvision.datasets.utils import download_url

    print(f"fetching {archive.url} ...", flush=True)
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_NETWORK_TIMEOUT_S)
    try:
        download_url(archive.url, str(folder), archive.name, archive.md5)
    except (OSError, RuntimeError) as error:
        (folder / archive.name).unlink(missing_ok=True)
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"{title}: {archive.url} could not be fetched ({reason}); set path in "
            f"params.yaml to a folder with {archive.name}"
        ) from None
    finally:
        socket.setdefaulttimeout(before)
