import gzip
import subprocess

import numpy as np
import pytest
from PIL import Image

from dino.core.errors import DataError
from dino.data.sources import fashion_mnist as module
from dino.data.sources.fashion_mnist import fashion_mnist


def test_images_labels_and_silhouettes_are_read(idx_folder, tmp_path):
    source = fashion_mnist(idx_folder, tmp_path / "downloads")
    assert len(source.train.ids) == 200
    assert source.test.labels.tolist() == [i % 10 for i in range(50)]
    image = source.train.read(3)
    (tmp_path / "image.png").write_bytes(image.encoded)
    (tmp_path / "mask.png").write_bytes(image.mask)
    pixels = np.asarray(Image.open(tmp_path / "image.png"))
    assert pixels.shape == (28, 28)
    assert (np.asarray(Image.open(tmp_path / "mask.png")) == (pixels > 0)).all()


def test_unpacked_files_are_read_too(idx_folder, tmp_path):
    for path in idx_folder.glob("*.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    assert len(fashion_mnist(idx_folder, tmp_path).train.ids) == 200


def test_a_missing_file_is_named(idx_folder, tmp_path):
    (idx_folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte.*path"):
        fashion_mnist(idx_folder, tmp_path)


def test_a_truncated_file_is_named(idx_folder, tmp_path):
    path = idx_folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte.*damaged"):
        fashion_mnist(idx_folder, tmp_path)


def test_a_wrong_checksum_is_named(idx_folder, tmp_path):
    path = idx_folder / "train-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + b"x"))
    with pytest.raises(DataError, match="wrong checksum, expected sha256"):
        fashion_mnist(idx_folder, tmp_path)


def test_what_was_tried_is_said_when_nothing_is_found(tmp_path, monkeypatch):
    def refused(*arguments):
        raise subprocess.CalledProcessError(100, "apt-get", stderr="E: no such package")

    def offline(folder):
        raise RuntimeError("no network")

    monkeypatch.setattr(module, "INSTALLED", tmp_path / "nowhere")
    monkeypatch.setattr(module, "_fetch_debian_package", refused)
    monkeypatch.setattr(module, "_fetch_with_torchvision", offline)
    with pytest.raises(DataError) as caught:
        fashion_mnist(None, tmp_path)
    message = str(caught.value)
    for part in ("nowhere", "no such package", "no network", "source: digits"):
        assert part in message
    assert "\n" not in message
