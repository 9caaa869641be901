import numpy as np
import pytest

from dino.core.errors import DataError
from dino.data.decoding import decoded
from dino.data.sources.files import photographs_passed_over
from dino.data.sources.folders import class_folders, folder


def test_every_image_of_a_folder_is_found_in_order(tmp_path, image_file):
    names = ["b c/d'e\"f.PNG", "é/ü 漢\u3000字.jpg", "a.webp", "z.tif"]
    for name in names:
        image_file(tmp_path / name)
    for name in ("readme.txt", ".hidden.png", "archive.zip"):
        (tmp_path / name).write_text("")
    source = folder(tmp_path)
    assert source.classes == ()
    assert source.train.ids == sorted(names)
    assert source.train.labels.tolist() == [-1] * 4
    assert source.test is None
    assert source.train.read(0).encoded == (tmp_path / "a.webp").read_bytes()


def test_a_folder_may_hold_its_splits(tmp_path, image_file):
    for name in ("train/1.png", "train/2.png", "validation/3.png", "test/4.png"):
        image_file(tmp_path / name)
    source = folder(tmp_path)
    assert source.train.ids == ["train/1.png", "train/2.png"]
    assert source.val.ids == ["validation/3.png"]
    assert source.test.ids == ["test/4.png"]


def test_folders_are_classes(tmp_path, image_file):
    for name in ("cat/1.png", "ant/x/2.png", "bee/3.png"):
        image_file(tmp_path / name)
    (tmp_path / "empty").mkdir()
    source = class_folders(tmp_path, {"bee": "a bee"})
    assert source.classes == ("ant", "a bee", "cat")
    assert source.train.ids == ["ant/x/2.png", "bee/3.png", "cat/1.png"]
    assert source.train.labels.tolist() == [0, 1, 2]


def test_splits_share_their_classes(tmp_path, image_file):
    for name in ("train/b/1.png", "train/a/2.png", "val/b/3.png", "test/a/4.png", "test/5.png"):
        image_file(tmp_path / name)
    source = class_folders(tmp_path)
    assert source.classes == ("a", "b")
    assert source.val.labels.tolist() == [1]
    assert source.test.ids == ["test/5.png", "test/a/4.png"]
    assert source.test.unusable == {0: "it lies in no class's folder"}
    np.testing.assert_array_equal(source.test.labels, [-1, 0])


def test_a_class_may_be_called_train(tmp_path, image_file):
    for name in ("train/1.png", "bus/2.png"):
        image_file(tmp_path / name)
    assert class_folders(tmp_path).classes == ("bus", "train")
    image_file(tmp_path / "test" / "3.png")
    with pytest.raises(DataError, match="found bus beside them; move it elsewhere"):
        class_folders(tmp_path)


def test_links_are_followed_once(tmp_path, image_file):
    image_file(tmp_path / "elsewhere" / "1.png")
    images = tmp_path / "images"
    (images / "a").mkdir(parents=True)
    (images / "a" / "linked").symlink_to(tmp_path / "elsewhere")
    (images / "a" / "loop").symlink_to(images)
    assert class_folders(images).train.ids == ["a/linked/1.png"]


def test_an_empty_folder_called_like_an_image_is_listed(tmp_path, image_file):
    image_file(tmp_path / "1.png")
    (tmp_path / "2.jpg").mkdir()
    source = folder(tmp_path)
    assert source.train.ids == ["1.png", "2.jpg"]
    with pytest.raises(IsADirectoryError):
        source.train.read(1)


def test_a_name_that_is_not_utf8_is_for_the_quarantine(tmp_path, image_file):
    image_file(tmp_path / "1.png").rename(tmp_path / "b\udcff.png")
    source = folder(tmp_path)
    assert source.train.ids == ["b\\xff.png"]
    assert source.train.unusable == {0: "its name is not UTF-8, as the manifest's names are"}
    image_file(tmp_path / "a" / "1.png")
    image_file(tmp_path / "c\udcff" / "1.png")
    classes = class_folders(tmp_path)
    assert classes.classes == ("a",)
    assert len(classes.train.unusable) == 2


def test_what_is_no_folder_of_classes_is_said(tmp_path, image_file):
    image_file(tmp_path / "1.png")
    with pytest.raises(DataError, match="expected a folder of images for each class"):
        class_folders(tmp_path)
    with pytest.raises(DataError, match=r"expected a folder of images; correct path"):
        folder(tmp_path / "1.png")


@pytest.mark.parametrize(
    "names", [("Train", "Test"), ("TRAIN", "Val", "TEST"), ("training", "validation", "testing")]
)
@pytest.mark.parametrize("kind", [folder, class_folders])
def test_folders_of_splits_are_known_however_they_are_written(tmp_path, image_file, names, kind):
    for name in names:
        for label in "ab":
            image_file(tmp_path / name / label / "1.png")
    source = kind(tmp_path)
    assert source.classes == (() if kind is folder else ("a", "b"))
    assert source.train.ids == [f"{names[0]}/a/1.png", f"{names[0]}/b/1.png"]
    assert (source.val is not None) == (len(names) == 3)
    assert source.test.ids == [f"{names[-1]}/a/1.png", f"{names[-1]}/b/1.png"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ("train", "Train", "test"),
            "one folder for each split, found Train, test, train",
        ),
        (("train", "val", "validation"), "expected one folder for each split"),
        (("Test", "Val"), "expected train/ beside Test, Val, found none"),
        (("test",), "expected train/ beside test, found none"),
        (("train2017", "val2017", "cats"), "found cats beside them; move it elsewhere"),
        (("photos/Train", "photos/Test"), "found Test and Train inside photos"),
        (("cats/train", "cats/test", "dogs/train"), "found test and train inside cats"),
    ],
)
def test_no_class_is_made_of_a_split(tmp_path, image_file, names, message):
    for name in names:
        image_file(tmp_path / name / "a" / "1.png")
    with pytest.raises(DataError, match=message):
        class_folders(tmp_path)


def test_a_class_may_hold_one_folder_called_like_a_split(tmp_path, image_file):
    for name in ("cat/test/1.png", "dog/2.png", "data set/3.png"):
        image_file(tmp_path / name)
    assert class_folders(tmp_path).classes == ("cat", "data set", "dog")


def test_what_pillow_opens_is_an_image(tmp_path, image_file):
    names = ["a.avif", "b.jp2", "c.tga", "d.QOI", "e.apng"]
    for name in names:
        image_file(tmp_path / name)
    # what Pillow has a name for and cannot show, or runs a program for
    for name in ("f.h5", "g.mpg", "h.eps"):
        (tmp_path / name).write_bytes(b"")
    source = folder(tmp_path)
    assert source.train.ids == names
    assert {decoded(source.train.read(index).encoded).size for index in range(5)} == {(12, 10)}


def test_photographs_that_pillow_cannot_read_are_counted(tmp_path, image_file):
    for index in range(12):
        (tmp_path / f"{index}.HEIC").write_bytes(b"x")
    (tmp_path / "Makefile").write_text("")
    expected = r": no image found; endings looked for: \.jpg, .*; found instead: 12 \.heic, 1 with"
    for kind in (folder, class_folders):
        with pytest.raises(DataError, match=expected):
            kind(tmp_path)
    image_file(tmp_path / "0.png")
    assert folder(tmp_path).train.ids == ["0.png"]
    line = photographs_passed_over(tmp_path)
    assert line == f"{tmp_path}: 12 .heic passed over, which Pillow cannot read"
    (tmp_path / "0.png").unlink()
    image_file(tmp_path / "train" / "a" / "1.png")
    (tmp_path / "test").mkdir()
    with pytest.raises(DataError, match=r"test: no image found.*found instead: no file"):
        class_folders(tmp_path)
