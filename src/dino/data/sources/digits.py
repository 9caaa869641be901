"""scikit-learn's bundled handwritten digits: a source that needs no files and no network."""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from dino.data.source import Source, SourceSplit, image_of_pixels

TEST_SHARE = 0.2


def digits() -> Source:
    """1,797 grey images of 8×8 px in 10 classes; the stratified test split is fixed."""
    bunch = load_digits()
    # 17 grey levels
    pixels = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    labels = bunch.target.astype(np.int64)
    train, test = train_test_split(
        np.arange(len(labels)), test_size=TEST_SHARE, stratify=labels, random_state=0
    )

    def split(indices: np.ndarray) -> SourceSplit:
        chosen = np.sort(indices)
        return SourceSplit(
            ids=[f"digits/{index:04d}" for index in chosen],
            labels=labels[chosen],
            read=lambda i: image_of_pixels(pixels[chosen[i]], pixels[chosen[i]] > 0),
        )

    return Source(
        classes=tuple(str(name) for name in bunch.target_names),
        train=split(train),
        test=split(test),
        mask_kind="approximate: non-zero pixels",
    )
