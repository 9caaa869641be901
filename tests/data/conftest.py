import gzip
import hashlib
import struct

import numpy as np
import pytest

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
