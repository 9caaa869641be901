import os
import signal

import pytest

from dino.core.configuration.dataset import DatasetConfig
from dino.core.errors import DinoError
from dino.data import parts as module
from dino.data.dataset import DESCRIPTION, IMAGES, LEAKS, MANIFEST, QUARANTINE
from dino.data.preparation import prepare
from dino.data.sources.catalogue import open_source

# where there are fewer cores than the tests ask for
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")
FILES = (MANIFEST, IMAGES, DESCRIPTION, QUARANTINE, LEAKS)


@pytest.fixture
def config(tmp_path, image_file, monkeypatch):
    """40 images, four of them bad, in parts of ten."""
    root = tmp_path / "images"
    for index in range(40):
        path = image_file(root / f"{index:02d}.png", seed=index)
        if index % 10 == 3:
            path.write_bytes(b"damaged")
    monkeypatch.setattr(module, "IMAGES_PER_PART", 10)
    return DatasetConfig(source="folder", path=str(root), val_images=5, test_images=5)


def _prepare(config, folder, work):
    return prepare(open_source(config, folder), config, folder, work)


def _cores(monkeypatch, count):
    monkeypatch.setattr(module, "cores", lambda: count)


def test_the_number_of_processes_changes_no_byte(config, tmp_path, monkeypatch):
    for count in (1, 2):
        _cores(monkeypatch, count)
        _prepare(config, tmp_path / str(count), tmp_path / "work")
        assert not (tmp_path / "work").exists()
    for name in FILES:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_an_interrupted_preparation_continues(config, tmp_path, monkeypatch, capsys):
    _cores(monkeypatch, 1)
    _prepare(config, tmp_path / "whole", tmp_path / "work")
    examine, calls = module.examine, []

    def interrupted(*arguments):
        if len(calls) == 25:
            raise KeyboardInterrupt
        calls.append(arguments)
        return examine(*arguments)

    monkeypatch.setattr(module, "examine", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _prepare(config, tmp_path / "continued", tmp_path / "work")
    assert len(list((tmp_path / "work").glob("*/part-*.arrow"))) == 2

    def counted(*arguments):
        calls.append(arguments)
        return examine(*arguments)

    calls.clear()
    monkeypatch.setattr(module, "examine", counted)
    _prepare(config, tmp_path / "continued", tmp_path / "work")
    assert len(calls) == 20
    assert "continuing: 20 of 40 images are there" in capsys.readouterr().out
    for name in FILES:
        whole, continued = (tmp_path / folder / name for folder in ("whole", "continued"))
        assert whole.read_bytes() == continued.read_bytes()


def test_a_changed_image_begins_anew(config, tmp_path, monkeypatch, image_file):
    _cores(monkeypatch, 1)
    monkeypatch.setattr("dino.data.preparation.shutil.rmtree", lambda *_, **__: None)
    _prepare(config, tmp_path / "a", tmp_path / "work")
    image_file(tmp_path / "images" / "07.png", seed=1000)
    _prepare(config, tmp_path / "b", tmp_path / "work")
    assert len(list((tmp_path / "work").iterdir())) == 2


def test_a_killed_process_is_one_clear_line(config, tmp_path, monkeypatch):
    parent = os.getpid()

    def killed(*arguments):
        assert os.getpid() != parent
        os.kill(os.getpid(), signal.SIGKILL)

    _cores(monkeypatch, 2)
    monkeypatch.setattr(module, "examine", killed)
    with pytest.raises(DinoError, match=r"a process was killed.*run the command again") as caught:
        _prepare(config, tmp_path, tmp_path / "work")
    assert "\n" not in str(caught.value)


def test_an_error_of_a_process_is_raised_as_it_is(config, tmp_path, monkeypatch):
    def refused(*arguments):
        raise DinoError("what went wrong")

    _cores(monkeypatch, 2)
    monkeypatch.setattr(module, "examine", refused)
    with pytest.raises(DinoError, match=r"^what went wrong$"):
        _prepare(config, tmp_path, tmp_path / "work")
