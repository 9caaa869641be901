"""Annotations reach the prepared data set as the source has them."""

import dataclasses

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from dino.core.configuration.dataset import DatasetConfig
from dino.data.annotations import COLUMNS, Annotations, Box, Matches, annotations_of
from dino.data.dataset import PreparedDataset
from dino.data.preparation import prepare
from dino.data.source import Source, SourceSplit, image_of_pixels

BOX = Box(class_name="cat", left_px=2.0, top_px=4.0, right_px=6.0, bottom_px=8.5)
CROWD = dataclasses.replace(BOX, class_name="people", ignore=True)
ALL = [
    Annotations(boxes=(BOX, CROWD), size_px=(12, 10)),
    Annotations(boxes=()),
    Annotations(sequence="bear", frame=0),
    Annotations(matches=Matches(easy=("0",), junk=("1", "2"))),
    Annotations(),
]
CONFIG = DatasetConfig(val_images=2, test_images=2)


def _source(annotations):
    pixels = np.random.default_rng(0).integers(0, 256, (len(annotations), 10, 12), np.uint8)

    def read(index):
        image = image_of_pixels(pixels[index])
        return dataclasses.replace(image, annotations=annotations[index])

    labels = np.full(len(annotations), -1, dtype=np.int64)
    ids = [str(index) for index in range(len(annotations))]
    train = SourceSplit(ids=ids, labels=labels, read=read)
    return Source(classes=(), train=train, test=None, mask_kind=None)


def _stored(annotations):
    return dataclasses.replace(annotations, size_px=None)


@pytest.mark.parametrize("storage", ["copy", "pack"])
def test_every_annotation_is_read_as_it_was_written(tmp_path, storage):
    config = dataclasses.replace(CONFIG, storage=storage, pack_format="png")
    prepare(_source(ALL * 3), config, tmp_path)
    dataset = PreparedDataset.open(tmp_path)
    found = {dataset.manifest["id"][i]: dataset.annotations(i) for i in range(len(dataset))}
    assert found == {str(index): _stored(one) for index, one in enumerate(ALL * 3)}


def test_the_columns_have_one_type_whatever_the_images_say(tmp_path):
    # without a box, rows alone would not tell the type of a list
    prepare(_source([Annotations(boxes=(), frame=3)] * 9), CONFIG, tmp_path)
    schema = pq.read_schema(tmp_path / "manifest.parquet")
    assert {name: schema.field(name).type for name in ("boxes", "frame")} == {
        name: COLUMNS[name] for name in ("boxes", "frame")
    }
    assert not {"sequence", "easy"} & set(schema.names)


def test_without_annotations_the_manifest_has_no_column_of_them(tmp_path):
    prepare(_source([Annotations()] * 9), CONFIG, tmp_path)
    assert not set(COLUMNS) & set(pd.read_parquet(tmp_path / "manifest.parquet"))


def test_other_boxes_are_another_data_set(tmp_path):
    plain, boxed, moved = (
        prepare(_source([annotations] * 9), CONFIG, tmp_path / str(number))["fingerprint"]
        for number, annotations in enumerate(
            (
                Annotations(),
                Annotations(boxes=(BOX,)),
                Annotations(boxes=(dataclasses.replace(BOX, left_px=3.0),)),
            )
        )
    )
    assert len({plain, boxed, moved}) == 3


def test_boxes_of_an_image_of_another_size_are_for_the_quarantine(tmp_path):
    wrong = Annotations(boxes=(BOX,), size_px=(10, 12))
    prepare(_source([wrong, *[Annotations(boxes=())] * 9]), CONFIG, tmp_path)
    (row,) = pd.read_csv(tmp_path / "quarantine.csv").to_dict("records")
    assert row["reason"] == ("its boxes are of an image of 10 by 12 pixels, the image has 12 by 10")


def test_boxes_are_packed_with_their_image(tmp_path):
    config = dataclasses.replace(CONFIG, storage="pack", pack_short_side_px=5, pack_format="png")
    prepare(_source([Annotations(boxes=(BOX,))] * 9), config, tmp_path)
    (box,) = PreparedDataset.open(tmp_path).annotations(0).boxes
    assert (box.left_px, box.top_px, box.right_px, box.bottom_px) == (1, 2, 3, 4.25)


@pytest.mark.parametrize("annotations", ALL)
def test_a_row_gives_back_what_it_was_made_of(annotations):
    assert annotations_of(annotations.columns()) == _stored(annotations)
