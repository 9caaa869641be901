"""Sources with boxes, videos and matches, as small files of their formats."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from dino.core.configuration.dataset import ColumnsConfig, DatasetConfig
from dino.core.errors import DataError
from dino.data.annotations import Annotations, Box, Matches
from dino.data.dataset import PreparedDataset
from dino.data.decoding import UnreadableImageError, decoded_mask
from dino.data.preparation import prepare
from dino.data.sources.catalogue import open_source
from dino.data.sources.coco import coco
from dino.data.sources.davis import davis2017
from dino.data.sources.segmentations import boxes_of_voc, voc2012
from dino.data.sources.table import manifest

VOC = """<annotation>
  <size><width>12</width><height>10</height><depth>3</depth></size>
  <object><name>dog</name><difficult>0</difficult>
    <bndbox><xmin>1</xmin><ymin>2</ymin><xmax>6.5</xmax><ymax>10</ymax></bndbox>
    <part><name>head</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox>
    </part></object>
  <object><name>sofa</name><difficult>1</difficult>
    <bndbox><xmax>12</xmax><xmin>1</xmin><ymax>10</ymax><ymin>1</ymin></bndbox></object>
</annotation>"""
DOG = Box(class_name="dog", left_px=0.0, top_px=1.0, right_px=6.5, bottom_px=10.0)
SOFA = Box(class_name="sofa", left_px=0.0, top_px=0.0, right_px=12.0, bottom_px=10.0, ignore=True)


def test_boxes_of_voc_begin_at_zero_and_end_behind_the_object(tmp_path):
    (tmp_path / "a.xml").write_text(VOC)
    assert boxes_of_voc(tmp_path / "a.xml") == Annotations(boxes=(DOG, SOFA), size_px=(12, 10))


@pytest.mark.parametrize("text", ["", "<annotation>", VOC.replace("xmin", "x"), VOC[:200]])
def test_a_damaged_file_of_voc_is_for_the_quarantine(tmp_path, text):
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(UnreadableImageError, match=r"its boxes .*a\.xml cannot be read"):
        boxes_of_voc(tmp_path / "a.xml")


def test_vocs_detection_task_has_boxes_and_the_masks_that_there_are(tmp_path, image_file):
    for image in ("2008_1", "2008_2", "2008_3"):
        image_file(tmp_path / "JPEGImages" / f"{image}.jpg")
        (tmp_path / "Annotations").mkdir(exist_ok=True)
        (tmp_path / "Annotations" / f"{image}.xml").write_text(VOC)
    mask = np.zeros((10, 12), np.uint8)
    image_file(tmp_path / "SegmentationObject" / "2008_1.png", mode="L", pixels=mask)
    for task, names in (("Segmentation", ["2008_1"]), ("Main", ["2008_1", "2008_2"])):
        (tmp_path / "ImageSets" / task).mkdir(parents=True)
        (tmp_path / "ImageSets" / task / "train.txt").write_text("\n".join(names))
        (tmp_path / "ImageSets" / task / "val.txt").write_text("2008_3\n")
    assert len(voc2012(tmp_path, tmp_path).train) == 1
    train = voc2012(tmp_path, tmp_path, task="detection").train
    items = [train.read(index) for index in range(2)]
    assert [item.annotations.boxes for item in items] == [(DOG, SOFA)] * 2
    assert [item.mask is None for item in items] == [False, True]


def _coco(root, image_file, **changes):
    for split in ("train", "val"):
        names = [f"{number:012d}.jpg" for number in range(8)]
        for name in names:
            image_file(root / f"{split}2017" / name)
        content = {
            "images": [
                {"id": 100 + i, "file_name": name, "width": 12, "height": 10}
                for i, name in enumerate(names)
            ],
            "annotations": [
                {"image_id": 100, "category_id": 7, "bbox": [1.5, 2, 3, 4], "iscrowd": 0},
                {"image_id": 100, "category_id": 9, "bbox": [0, 0, 12, 10], "iscrowd": 1},
            ],
            "categories": [{"id": 7, "name": "cat"}, {"id": 9, "name": "person"}],
        }
        path = root / "annotations" / f"instances_{split}2017.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content | changes))


def test_boxes_of_coco_become_corners(tmp_path, image_file):
    _coco(tmp_path, image_file)
    source = coco(tmp_path)
    assert source.classes == ()
    assert source.train.ids[0] == "train2017/000000000000.jpg"
    annotations = source.test.read(0).annotations
    assert annotations.size_px == (12, 10)
    assert annotations.boxes == (
        Box(class_name="cat", left_px=1.5, top_px=2.0, right_px=4.5, bottom_px=6.0),
        dataclasses.replace(SOFA, class_name="person"),
    )
    # an image that nobody has found an object in
    assert source.train.read(1).annotations.boxes == ()


def test_coco_is_prepared_like_any_source(tmp_path, image_file):
    _coco(tmp_path / "coco", image_file)
    config = DatasetConfig(source="coco", path=str(tmp_path / "coco"), val_images=3)
    description = prepare(open_source(config, tmp_path), config, tmp_path / "data")
    assert description["counts"] == {"train": 5, "val": 3, "test": 8}
    dataset = PreparedDataset.open(tmp_path / "data")
    (index,) = np.flatnonzero(dataset.manifest["id"] == "val2017/000000000000.jpg")
    assert [box.class_name for box in dataset.annotations(int(index)).boxes] == ["cat", "person"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"categories": []}, "not a file of COCO's instances"),
        ({"images": 3}, "not a file of COCO's instances"),
    ],
)
def test_a_file_that_is_not_cocos_is_named(tmp_path, image_file, changes, message):
    _coco(tmp_path, image_file, **changes)
    with pytest.raises(DataError, match=rf"instances_train2017\.json: {message}") as caught:
        coco(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_without_cocos_files_is_named(tmp_path):
    with pytest.raises(DataError, match=r"expected one file instances_trainYEAR\.json, found 0"):
        coco(tmp_path)


def test_frames_of_davis_know_their_video_and_number(tmp_path, image_file):
    (tmp_path / "ImageSets" / "2017").mkdir(parents=True)
    for split, video in (("train", "bear"), ("val", "goat")):
        (tmp_path / "ImageSets" / "2017" / f"{split}.txt").write_text(f"{video}\n")
        for frame in range(2):
            name = f"480p/{video}/{frame:05d}"
            image_file(tmp_path / "JPEGImages" / f"{name}.jpg")
            pixels = np.full((10, 12), frame, np.uint8)
            image_file(tmp_path / "Annotations" / f"{name}.png", mode="L", pixels=pixels)
    source = davis2017(tmp_path)
    second = source.test.read(1)
    assert second.annotations == Annotations(sequence="goat", frame=1)
    assert np.asarray(decoded_mask(second.mask)).tolist() == [[1] * 12] * 10
    assert source.train.read(0).annotations.sequence == "bear"


BOXES = [{"class_name": "cat", "left_px": 1, "top_px": 2, "right_px": 3, "bottom_px": 4}]
CAT = Box(class_name="cat", left_px=1.0, top_px=2.0, right_px=3.0, bottom_px=4.0)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_manifest_may_have_every_annotation(tmp_path, image_file, kind):
    names = ["q.png", "a.png", "b.png"]
    for name in names:
        image_file(tmp_path / name)
    lists = {
        "boxes": [BOXES, [], None],
        "easy": [["a.png"], None, None],
        "junk": [["b.png"], None, None],
    }
    if kind == "csv":
        lists = {key: [v if v is None else json.dumps(v) for v in x] for key, x in lists.items()}
    table = pd.DataFrame(
        {"path": names, "video": [None, "bear", "bear"], "frame": [None, 1, 2], **lists}
    )
    path = tmp_path / f"m.{kind}"
    table.to_csv(path, index=False) if kind == "csv" else table.to_parquet(path)
    train = manifest(path, ColumnsConfig(sequence="video")).train
    assert [train.read(index).annotations for index in range(3)] == [
        Annotations(boxes=(CAT,), matches=Matches(easy=("a.png",), junk=("b.png",))),
        Annotations(boxes=(), sequence="bear", frame=1),
        Annotations(sequence="bear", frame=2),
    ]


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        ("boxes", "cat", "row 1, column 'boxes': expected a list in JSON, got 'cat'"),
        ("boxes", "3", "row 1, column 'boxes': expected a list, got 3"),
        ("boxes", '[{""class_name"": ""cat""}]', "expected class_name, left_px, .* of each box"),
        ("junk", '[""c.png""]', "column 'junk': expected images of the table, got 'c.png'"),
        ("frame", "first", "column 'frame': expected a whole number, got 'first'"),
    ],
)
def test_a_cell_that_is_no_annotation_is_named(tmp_path, image_file, column, cell, message):
    image_file(tmp_path / "a.png")
    (tmp_path / "m.csv").write_text(f'path,{column}\na.png,"{cell}"\n')
    with pytest.raises(DataError, match=message) as caught:
        manifest(tmp_path / "m.csv", ColumnsConfig())
    assert "\n" not in str(caught.value)
