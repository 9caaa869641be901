"""From a source to the prepared data set: split, check, store."""

import csv
import hashlib
import io
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pyarrow as pa

from dino.core.artifacts import fingerprint, replacing, write_json, write_text
from dino.core.code_fingerprint import code_fingerprint
from dino.core.configuration.dataset import DatasetConfig
from dino.core.errors import DataError
from dino.core.file_names import on_one_line
from dino.core.provenance import plain
from dino.data.annotations import COLUMNS
from dino.data.dataset import DESCRIPTION, IMAGES, IMAGES_SCHEMA, LEAKS, MANIFEST, QUARANTINE, Split
from dino.data.examination import Rejected
from dino.data.parts import PartFiles, make_missing
from dino.data.source import Source
from dino.data.splitting import Assignment, check_classes, checked_assignments

LEAK_COLUMNS = ("group", "split", "id")
_CODE = ("dino.data.preparation", "dino.data.sources.catalogue")
"""Modules that, with all that they import, decide what the parts of a preparation hold."""


def prepare(
    source: Source, config: DatasetConfig, folder: Path, work: Path | None = None
) -> dict[str, Any]:
    """Write `source` below `folder` and return its description (dataset.json).

    Images that cannot be used are listed in quarantine.csv, images that are equal in two splits
    in leaks.csv; with `config.strict` both are errors. What an interrupted preparation continues
    from lies below `work` (None: in `folder`). Raises `DataError` for a split without images, a
    class without an image in one, and files that `config.storage` cannot refer to.
    """
    assignments = checked_assignments(source, config)
    work = work or folder / "work"
    kept = work / _identity(source, config, assignments)[:16]
    parts = PartFiles(assignments, source.classes, config, kept)
    make_missing(parts)
    manifest, examined = _rows(parts)
    rejected = (*_unusable(source), *examined)
    leaks = _leaks(manifest)
    # beside the parts too, where an error leaves them
    _report(kept, rejected, leaks)
    text = _text(rejected, leaks)
    if config.strict and text:
        raise DataError(f"strict: {text}; see quarantine.csv and leaks.csv in {kept}")
    _check_manifest(manifest, source.classes)
    if text:
        where = on_one_line(str(folder))
        print(f"prepare: {text}; see quarantine.csv and leaks.csv in {where}", flush=True)
    _store(folder / IMAGES, parts)
    with replacing(folder / MANIFEST) as temporary:
        rows = manifest.drop(columns="pixels_sha256")
        rows.to_parquet(temporary, index=False, schema=_schema(rows))
    _report(folder, rejected, leaks)
    description = _describe(source, config, manifest)
    description |= {"quarantined": len(rejected), "leaks": len(leaks)}
    write_json(folder / DESCRIPTION, description)
    shutil.rmtree(work, ignore_errors=True)
    return description


def _check_manifest(manifest: pd.DataFrame, classes: tuple[str, ...]) -> None:
    for split in get_args(Split):
        labels = manifest["label"].to_numpy(np.int64)[manifest["split"] == split]
        if len(labels) == 0:
            raise DataError(f"no image of the {split} split can be used; add some")
        check_classes(split, labels, classes)


def _identity(source: Source, config: DatasetConfig, assignments: Sequence[Assignment]) -> str:
    """A checksum of what the parts of a preparation depend on; files count with size and time."""
    settings = {key: value for key, value in plain(config).items() if key != "strict"}
    start = fingerprint([settings, list(source.classes), code_fingerprint(*_CODE)])
    digest = hashlib.sha256(start.encode())
    for assignment in assignments:
        part = assignment.source
        digest.update(part.version.encode())
        for position in assignment.chosen.tolist():
            state = _state(source, assignment, position)
            image = [assignment.split, part.ids[position], int(part.labels[position]), *state]
            digest.update(json.dumps(image).encode())
    return digest.hexdigest()


def _state(source: Source, assignment: Assignment, position: int) -> tuple[int, ...]:
    paths = assignment.source.paths
    if source.root is None or paths is None:
        return ()
    try:
        status = (source.root / paths[position]).stat()
    except OSError:
        return ()
    return (status.st_size, status.st_mtime_ns)


def _unusable(source: Source) -> Iterator[Rejected]:
    """The images that were drawn for no split because they cannot be used."""
    own = source.val is not None and source.test is not None
    parts = {"train" if own else "": source.train, "val": source.val, "test": source.test}
    for split, part in parts.items():
        if part is None:
            continue
        for position, reason in part.unusable.items():
            yield Rejected(id=part.ids[position], split=split, reason=reason)


def _rows(parts: PartFiles) -> tuple[pd.DataFrame, tuple[Rejected, ...]]:
    found = [parts.about(part) for part in range(len(parts))]
    rows = [part.rows for part in found if len(part.rows)]
    if not rows:
        first = found[0].rejected[0]
        raise DataError(f"no image can be used; the first, {on_one_line(first.id)}: {first.reason}")
    return pd.concat(rows, ignore_index=True), tuple(
        rejected for part in found for rejected in part.rejected
    )


def _leaks(manifest: pd.DataFrame) -> pd.DataFrame:
    """The images whose pixels are equal to those of an image in another split, by group."""
    equal = manifest.groupby("pixels_sha256", sort=False)
    leaking = manifest[equal["split"].transform("nunique") > 1]
    groups = leaking.groupby("pixels_sha256", sort=False).ngroup()
    return leaking.assign(group=groups)[list(LEAK_COLUMNS)].sort_values("group", kind="stable")


def _text(rejected: Sequence[Rejected], leaks: pd.DataFrame) -> str:
    texts = []
    if rejected:
        first = rejected[0]
        name = on_one_line(first.id)
        texts.append(f"{len(rejected)} images in quarantine ({name}: {first.reason})")
    if len(leaks):
        groups = leaks["group"].nunique()
        texts.append(
            f"{len(leaks)} images that another split holds too ({groups} different ones, such as "
            f"{' and '.join(map(on_one_line, leaks['id'].iloc[:2]))})"
        )
    return ", ".join(texts)


def _report(folder: Path, rejected: Sequence[Rejected], leaks: pd.DataFrame) -> None:
    columns = [field.name for field in fields(Rejected)]
    _write_csv(folder / QUARANTINE, columns, [list(asdict(r).values()) for r in rejected])
    _write_csv(folder / LEAKS, LEAK_COLUMNS, leaks.to_numpy().tolist())


def _write_csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    # in quotes, since a name may hold a carriage return
    quoting = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in (columns, *rows):
        (quoting if "\r" in "".join(map(str, row)) else writer).writerow(row)
    write_text(path, stream.getvalue())


def _store(path: Path, parts: PartFiles) -> None:
    """Write the images of all parts to `path`, one after the other."""
    with (
        replacing(path) as temporary,
        pa.OSFile(str(temporary), "wb") as sink,
        pa.ipc.new_file(sink, IMAGES_SCHEMA) as writer,
    ):
        for part in range(len(parts)):
            images = parts.stored(part)
            if len(images):
                writer.write_batch(images)


def _schema(rows: pd.DataFrame) -> pa.Schema | None:
    """The types of the manifest's columns where rows alone do not tell them: of annotations."""
    typed = [name for name in COLUMNS if name in rows]
    if not typed:
        return None
    schema = pa.Schema.from_pandas(rows.drop(columns=typed), preserve_index=False)
    for name in typed:
        schema = schema.append(pa.field(name, COLUMNS[name]))
    return schema.remove_metadata()


def _describe(source: Source, config: DatasetConfig, manifest: pd.DataFrame) -> dict[str, Any]:
    identity: list[Any] = [
        list(source.classes),
        manifest[["id", "split", "label", "sha256"]].to_numpy().tolist(),
    ]
    description: dict[str, Any] = {"storage": config.storage}
    if config.storage == "pack":
        # other pixels than the originals'
        description["pack"] = {"short_side_px": config.pack_short_side_px}
        description["pack"]["format"] = config.pack_format
        identity.append(description["pack"])
    if config.storage == "index":
        assert source.root is not None, "was checked before"
        description["root"] = str(source.root.resolve())
    annotated = [name for name in COLUMNS if name in manifest]
    if annotated:
        identity.append(json.loads(manifest[annotated].to_json(orient="values")))
    sizes = manifest[["width_px", "height_px"]]
    return description | {
        "source": config.source,
        "classes": list(source.classes),
        "counts": {split: int((manifest["split"] == split).sum()) for split in get_args(Split)},
        "mask_kind": source.mask_kind,
        "smallest_px": sizes.min().tolist(),
        "largest_px": sizes.max().tolist(),
        "fingerprint": fingerprint(identity),
    }
