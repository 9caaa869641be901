"""The text of a whole params.yaml, made of a preset that says only what differs."""

import json

import pytest
import yaml

from dino.core.configuration.parameters import Parameters
from dino.core.configuration.section import parse
from dino.core.configuration.whole_file import whole_text
from dino.core.errors import ConfigurationError
from dino.core.provenance import plain
from dino.core.yaml_file import parse_yaml

OVERLAY = """\
# A small one
#
# Cost:     nothing

runs:
  architecture: [vit]
  variant: [dino]
  seed: [0, 1]

architectures:
  vit:                      # as its name says
    timm_name: vit_tiny_patch16_224

# the same words for all
linear:
  # more than one
  learning_rates:           # chosen on val
    - 0.01
    - 0.1
  epochs: 3                 # few

pretrain:
  crops:                    # two of them
    hue: 0.2

knn: {}                     # as it is
"""


def _values(text: str) -> dict:
    values = plain(parse(Parameters, parse_yaml(text, "f"), where=""))
    # the only data set, which a whole file names
    values["pretrain"]["dataset"] = next(iter(values["datasets"]))
    return values


def test_every_section_and_every_value_stands_there():
    written = yaml.safe_load(whole_text(OVERLAY, "f"))
    expected = _values(OVERLAY)
    assert written.keys() == expected.keys()
    spelled_out = expected.keys() - {"runs", "architectures", "variants", "datasets"}
    assert {name: written[name] for name in spelled_out} == {
        name: expected[name] for name in spelled_out
    }
    # a default of 1 where numbers are read as 1.0 would be another value to DVC
    assert json.dumps(_values(whole_text(OVERLAY, "f"))) == json.dumps(expected)


def test_the_presets_lines_and_comments_stay_as_they_are():
    lines = whole_text(OVERLAY, "f").splitlines()
    for line in OVERLAY.splitlines():
        assert line in lines or line.startswith(("runs:", "knn:"))
    assert "knn:                        # as it is" in lines
    assert lines.index("# the same words for all") + 1 == lines.index("linear:")
    assert lines.index("  crops:                    # two of them") < lines.index("    hue: 0.2")


def test_sections_and_values_have_the_order_of_the_configuration():
    lines = whole_text(OVERLAY, "f").splitlines()
    sections = [line.partition(":")[0] for line in lines if line and line[0] not in " #"]
    assert sections == list(Parameters.__dataclass_fields__)
    assert lines.index("  epochs: 3                 # few") < lines.index("  # more than one")


def test_a_whole_file_is_its_own_whole_file():
    whole = whole_text(OVERLAY, "f")
    assert whole_text(whole, "f") == whole


@pytest.mark.parametrize(
    ("added", "problem"),
    [
        (
            "linear_paper:\n    epochs: 3\n",
            r"f: line 28: expected 2 spaces, two for each level, got 4",
        ),
        ("linear_paper: {epoch: 3}\n", "f: linear_paper.epoch: unknown key"),
        ("linear_paper: [\n", "f: not valid YAML"),
    ],
)
def test_what_cannot_be_completed_is_refused(added, problem):
    with pytest.raises(ConfigurationError, match=problem):
        whole_text(OVERLAY + added, "f")
