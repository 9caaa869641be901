import numpy as np
import pytest

from dino.core.errors import DataError
from dino.data.decoding import UnreadableImageError
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
    with pytest.raises(UnreadableImageError, match="it lies in no class's folder"):
        source.test.read(0)
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
    with pytest.raises(UnreadableImageError, match="its name is not UTF-8"):
        source.train.read(0)


def test_what_is_no_folder_of_classes_is_said(tmp_path, image_file):
    image_file(tmp_path / "1.png")
    with pytest.raises(DataError, match="expected a folder of images for each class"):
        class_folders(tmp_path)
    with pytest.raises(DataError, match=r"expected a folder of images; correct prepare\.path"):
        folder(tmp_path / "1.png")
