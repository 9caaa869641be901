from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from dino.core.errors import ConfigurationError
from dino.launch.settings import PATH, JobSettings, SlurmSettings, read_settings

ROOT = Path(__file__).parents[2]


def test_settings_of_the_project_are_the_defaults() -> None:
    # the file shows every setting; what it says must not differ from what is there without it
    assert read_settings(ROOT) == SlurmSettings()


def test_file_names_every_setting() -> None:
    values = yaml.safe_load((ROOT / PATH).read_text())
    assert set(values["defaults"]) == set(JobSettings.__dataclass_fields__)
    assert set(values) == set(SlurmSettings.__dataclass_fields__)


def test_stage_takes_the_defaults_and_its_own() -> None:
    settings = SlurmSettings(
        defaults=JobSettings(partition="gpu", minutes=30),
        stages={"pretrain": {"nodes": 2, "tasks_per_node": 8, "gpus_per_node": 8, "minutes": 600}},
    )
    job = settings.job("pretrain")
    assert (job.partition, job.minutes, job.tasks) == ("gpu", 600, 16)
    assert settings.job("linear") == JobSettings(partition="gpu", minutes=30)


def test_only_pretraining_is_divided_among_processes() -> None:
    with pytest.raises(ConfigurationError, match="only pretrain is divided"):
        SlurmSettings(defaults=JobSettings(nodes=2))


def test_a_notice_leaves_time_to_train() -> None:
    with pytest.raises(ValidationError, match="at most half of the 1 minutes"):
        JobSettings(minutes=1)


def test_gpus_without_a_process_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="expected tasks_per_node 8, one process"):
        SlurmSettings(stages={"pretrain": {"gpus_per_node": 8}})


def test_unknown_stage_is_refused(root: Path) -> None:
    (root / PATH).write_text("submit: [pretain]\n")
    with pytest.raises(ConfigurationError, match="among prepare, pretrain, got pretain"):
        read_settings(root)


def test_missing_file_says_how_to_get_it_back(root: Path) -> None:
    (root / PATH).unlink()
    with pytest.raises(ConfigurationError, match=f"git checkout -- {PATH}"):
        read_settings(root)
