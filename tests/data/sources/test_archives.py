import io
import tarfile
import zipfile

import pytest

from dino.core.configuration.dataset import DatasetConfig
from dino.core.errors import DataError
from dino.data.sources.archives import Archive, located, unpack, unpacked
from dino.data.sources.catalogue import open_source


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_a_folder_may_come_as_an_archive(tmp_path, image_file, suffix):
    image = image_file(tmp_path / "1.png")
    path = tmp_path / f"photos{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(image, "photos/a/1.png")
    else:
        with tarfile.open(path, "w:gz" if suffix.endswith("gz") else "w") as archive:
            archive.add(image, "photos/a/1.png")
    config = DatasetConfig(source="class_folders", path=str(path))
    source = open_source(config, tmp_path / "downloads")
    assert source.train.ids == ["a/1.png"]
    assert source.train.read(0).encoded == image.read_bytes()
    # what was unpacked is used again
    assert open_source(config, tmp_path / "downloads").root == source.root


@pytest.mark.parametrize("name", ["../outside.png", "/outside.png"])
def test_members_stay_in_the_folder(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(name, b"x")
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        member = tarfile.TarInfo(name)
        member.size = 1
        archive.addfile(member, io.BytesIO(b"x"))
    with pytest.raises(DataError, match="leads out of the archive"):
        unpacked(tmp_path / "bad.zip", tmp_path / "downloads")
    if name.startswith(".."):
        with pytest.raises(DataError, match="damaged or unsafe"):
            unpacked(tmp_path / "bad.tar", tmp_path / "downloads")
    else:
        # the tar filter drops the leading slash
        folder = unpacked(tmp_path / "bad.tar", tmp_path / "downloads")
        assert [path.name for path in folder.iterdir()] == ["outside.png"]
    assert not (tmp_path / "downloads" / "outside.png").exists()


def test_links_that_lead_out_are_refused(tmp_path):
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        member = tarfile.TarInfo("link")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(member)
    with pytest.raises(DataError, match="damaged or unsafe"):
        unpack(tmp_path / "bad.tar", tmp_path / "folder")


def test_a_damaged_archive_leaves_nothing(tmp_path):
    for name in ("bad.zip", "bad.tar.gz"):
        (tmp_path / name).write_bytes(b"no archive")
        with pytest.raises(DataError, match="cannot be unpacked"):
            unpack(tmp_path / name, tmp_path / "folder")
        assert not (tmp_path / "folder").exists()


def test_a_damaged_archive_undoes_its_neighbours(tmp_path, image_file):
    with tarfile.open(tmp_path / "good.tar", "w") as archive:
        archive.add(image_file(tmp_path / "1.png"), "1.png")
    (tmp_path / "bad.tar").write_bytes(b"no archive")
    for _ in range(2):
        unpack(tmp_path / "good.tar", tmp_path / "folder")
        assert (tmp_path / "folder" / "1.png").is_file()
        with pytest.raises(DataError, match="cannot be unpacked"):
            unpack(tmp_path / "bad.tar", tmp_path / "folder")


def test_the_checksum_comes_first(tmp_path):
    (tmp_path / "a.tar").write_bytes(b"other bytes")
    archive = Archive(url=None, name="a.tar", md5="0" * 32)
    with pytest.raises(DataError, match="wrong checksum, expected md5 0000"):
        located(tmp_path, "images", [archive], tmp_path / "downloads", "Things")


def test_what_is_missing_is_named(tmp_path):
    archive = Archive(url=None, name="a.tar", md5="0" * 32)
    with pytest.raises(DataError, match=r"expected Things's images there, or the archive a\.tar"):
        located(tmp_path, "images", [archive], tmp_path / "downloads", "Things")
    with pytest.raises(DataError, match="cannot be downloaded without asking its publisher"):
        located(None, "images", [archive], tmp_path / "downloads", "Things")


def test_without_a_network_the_error_says_what_to_do(tmp_path, monkeypatch):
    def offline(*arguments, **options):
        raise OSError("Name or service not known")

    monkeypatch.setattr("urllib.request.urlopen", offline)
    archive = Archive(url="https://example.org/a.tar", name="a.tar", md5="0" * 32)
    with pytest.raises(DataError, match=r"could not be fetched .*set path") as caught:
        located(None, "images", [archive], tmp_path / "downloads", "Things")
    assert "\n" not in str(caught.value)
