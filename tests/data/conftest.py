import gzip
import hashlib
import struct

import numpy as np
import pytest
from PIL import Image

from dino.data.sources import fashion_mnist as module


@pytest.fixture
def idx_folder(tmp_path, monkeypatch):
    """Files in the format of Fashion-MNIST, 200 + 50 images, with checksums to match."""
    folder = tmp_path / "idx"
    folder.mkdir()
    rng = np.random.default_rng(0)
    checksums = {}
    for prefix, count in (("train", 200), ("t10k", 50)):
        images = rng.integers(0, 2, (count, 28, 28), dtype=np.uint8) * 200
        labels = (np.arange(count) % 10).astype(np.uint8)
        for name, array in ((f"{prefix}-images-idx3", images), (f"{prefix}-labels-idx1", labels)):
            header = struct.pack(">HBB", 0, 8, array.ndim)
            header += struct.pack(f">{array.ndim}I", *array.shape)
            content = header + array.tobytes()
            (folder / f"{name}-ubyte.gz").write_bytes(gzip.compress(content))
            checksums[f"{name}-ubyte"] = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(module, "FILES", checksums)
    return folder


@pytest.fixture
def image_file():
    """Writes an image file: random pixels (or those given), in any mode and format."""

    def write(path, size=(12, 10), mode="RGB", seed=0, pixels=None, **options):
        path.parent.mkdir(parents=True, exist_ok=True)
        if pixels is None:
            rng = np.random.default_rng(seed)
            pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        image = Image.fromarray(pixels)
        image = image if image.mode == mode else image.convert(mode)
        image.save(path, **options)
        return path

    return write
