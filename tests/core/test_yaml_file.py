import itertools
from pathlib import Path

import pytest
import yaml
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from dino.core.configuration.parameters import read_parameters
from dino.core.configuration.presets import read_preset
from dino.core.errors import ConfigurationError
from dino.core.yaml_file import parse_yaml, read_yaml
from dino.launch.settings import PATH, read_settings

REPOSITORY = Path(__file__).parents[2]
FILES = [
    *REPOSITORY.glob("*.yaml"),
    *REPOSITORY.glob("presets/*.yaml"),
    *REPOSITORY.glob("slurm/*.yaml"),
]


def _as_dvc(text):
    return YAML(typ="safe").load(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: 2\na: 3\n", "f: a: there twice, in line 1 and in line 3; remove one"),
        ("a:\n  b: 1\n  c: 2\n  b: 1\n", "f: a.b: there twice, in line 2 and in line 4"),
        ("a: {b: 1, b: 1}", "f: a.b: there twice, in line 1 and in line 1"),
        ("a: [{b: 1,\n 'b': 1}]", "f: a.0.b: there twice, in line 1 and in line 2"),
    ],
)
def test_a_key_that_is_there_twice_is_refused_with_both_lines(text, problem):
    with pytest.raises(ConfigurationError) as refused:
        parse_yaml(text, "f")
    assert str(refused.value).startswith(problem)


AMBIGUOUS = (
    *("010", "-010", "08", "0o10", "0x1F", "0b11", "1_000", "1_000.5", "1:30", "1:30.5"),
    *("190:20:30", "._1", "-_1", ".5e3", "2026-01-31", "yes", "No", "ON", "off", "="),
)


@pytest.mark.parametrize("value", AMBIGUOUS)
def test_a_value_that_programs_read_differently_is_refused_with_its_line(value):
    with pytest.raises(ConfigurationError) as refused:
        parse_yaml(f"runs:\n  seed: [{value}]\n", "params.yaml")
    line = str(refused.value)
    start = "params.yaml, line 2: runs.seed.0: not every program reads "
    assert line.startswith(f"{start}{value} alike; write ") and "\n" not in line
    assert parse_yaml(f"seed: '{value}'", "f") == {"seed": value}


def test_names_are_read_alike_too():
    with pytest.raises(ConfigurationError, match=r'line 1: no: .* write false, or "no" in quotes'):
        parse_yaml("no: 1", "f")


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-3", 0.001), ("5E-4", 0.0005), ("1e-05", 1e-05), (".5", 0.5), ("-1.", -1.0), ("+7", 7)],
)
def test_numbers_are_what_dvc_reads(text, value):
    read = parse_yaml(f"a: {text}", "f")["a"]
    assert (read, type(read)) == (value, type(value)) == (_as_dvc(f"a: {text}")["a"], type(read))


def test_what_is_not_refused_is_read_as_dvc_and_snakemake_do():
    read = 0
    for length in range(1, 4):
        for characters in itertools.product("018.-_:ex", repeat=length):
            text = f"k: {''.join(characters)}"
            try:
                ours = parse_yaml(text, "f")
                dvcs, snakemakes = _as_dvc(text), yaml.safe_load(text)
            except (ConfigurationError, YAMLError, ValueError):
                continue
            read += 1
            assert repr(ours) == repr(dvcs)
            # which nothing here depends on: PyYAML needs a point and a sign in them
            assert ours == snakemakes or isinstance(ours["k"], float)
    assert read > 200


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_projects_own_files_are_read_as_dvc_reads_them(path):
    assert read_yaml(path) == _as_dvc(path.read_text())


def test_merged_sections_are_no_duplicates():
    assert parse_yaml("a: &a {b: 1}\nc: {<<: *a, b: 2}", "f") == {"a": {"b": 1}, "c": {"b": 2}}


@pytest.mark.parametrize("text", ["a: &a [*a]", f"a: {'9' * 5000}", "a: !!python/name:os.system x"])
def test_what_no_program_should_read_is_one_line(text):
    with pytest.raises(ConfigurationError) as refused:
        parse_yaml(text, "params.yaml")
    assert "\n" not in str(refused.value)


def test_every_reader_refuses(tmp_path):
    for name in ("params.yaml", "dvc.yaml", str(PATH), "presets/own.yaml"):
        source, target = REPOSITORY / name, tmp_path / name
        target.parent.mkdir(exist_ok=True)
        text = source.read_text() if source.is_file() else "# Own\n"
        target.write_text(text + "prepare: {}\nprepare: {}\n")
    for read in (
        lambda: read_parameters(tmp_path / "params.yaml"),
        lambda: read_settings(tmp_path),
        lambda: read_preset(tmp_path, "own"),
        lambda: read_yaml(tmp_path / "dvc.yaml"),
    ):
        with pytest.raises(ConfigurationError, match="prepare: there twice, in line"):
            read()
