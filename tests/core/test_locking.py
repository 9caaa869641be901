import pytest

from dino.core.errors import DinoError
from dino.core.locking import only_one


def test_the_same_work_is_refused_while_it_runs(tmp_path):
    with (
        only_one(tmp_path, "knn-run"),
        pytest.raises(DinoError, match="another process"),
        only_one(tmp_path, "knn-run"),
    ):
        pass
    with only_one(tmp_path, "knn-run"), only_one(tmp_path, "linear-run"):
        pass
