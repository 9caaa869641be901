"""Image files as a command line names them, and their features in a table."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float32
from PIL import Image

from dino.core.artifacts import replacing
from dino.core.errors import DataError


def image_files(sources: Iterable[Path]) -> list[Path]:
    """The files among `sources`, and the images below its folders, each once, in order.

    Below a folder a file counts whose suffix is one of Pillow's, sorted by path; a file that is
    named counts whatever its suffix. Raises `DataError` for a source that is not there and for
    folders without any.
    """
    extensions = Image.registered_extensions()
    readable = {suffix for suffix, kind in extensions.items() if kind in Image.OPEN}
    files: list[Path] = []
    for source in sources:
        if source.is_dir():
            below = (path for path in source.rglob("*") if path.suffix.lower() in readable)
            files += sorted(path for path in below if path.is_file())
        elif source.exists():
            files.append(source)
        else:
            raise DataError(f"{source}: no such file or folder")
    if not files:
        raise DataError(f"{', '.join(map(str, sources))}: expected images, found none")
    return list(dict.fromkeys(files))


def save_feature_table(
    path: Path,
    images: Iterable[Path],
    features: Float32[np.ndarray, "images dim"],
    metadata: dict[str, str],
) -> None:
    """Write a Parquet file, atomically: `path`, and `features` as lists of a fixed size.

    `metadata` stands in the schema. Equal arguments give equal bytes.
    """
    names = pa.array([str(image) for image in images], pa.string())
    lists = pa.FixedSizeListArray.from_arrays(pa.array(features.ravel()), features.shape[1])
    table = pa.table({"path": names, "features": lists}).replace_schema_metadata(metadata)
    with replacing(path) as temporary:
        pq.write_table(table, temporary)
