"""The map of classes by their mean features (the paper's figure of classes)."""

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from dino.core.configuration.number import PositiveFloat, PositiveInt, Seed
from dino.core.configuration.section import section
from dino.core.errors import ConfigurationError, some_of

Classes = Annotated[tuple[str, ...], Field(min_length=1)]


@section
class ClassMapConfig:
    """Whose means are taken, how they are laid out, and what their distances are compared with.

    Defaults of the layout: paper, appendix; a data set with fewer classes takes less.
    """

    needs_labels: ClassVar[bool] = True
    enabled: bool = True
    """False: not computed, which the result then says."""
    split: Literal["train", "val", "test"] = "test"
    components: PositiveInt = 30
    """The dimensions of the PCA before t-SNE; at most one fewer than there are classes."""
    perplexity: PositiveFloat = 20.0
    """The perplexity of t-SNE; at most a third of the number of other classes."""
    superclasses: dict[str, Classes] | None = None
    """The classes of each superclass, by name; every class stands in one. null: no comparison."""
    seed: Seed = 0
    """The seed of t-SNE and of the bootstrap."""

    @model_validator(mode="after")
    def _classes_are_different(self) -> Self:
        names = [name for group in (self.superclasses or {}).values() for name in group]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(
                f"expected every class in one of superclasses, got {', '.join(twice)} in several"
            )
        return self


def superclass_of(
    classes: Sequence[str], superclasses: Mapping[str, Sequence[str]] | None
) -> tuple[str, ...] | None:
    """The superclass of each of `classes`, None without any.

    Raises `ConfigurationError` unless `superclasses` hold all of them and no other.
    """
    if superclasses is None:
        return None
    groups = {name: group for group, names in superclasses.items() for name in names}
    for wrong, problem in (
        (sorted(set(groups) - set(classes)), "which the data set does not have"),
        (sorted(set(classes) - set(groups)), "in none of them"),
    ):
        if wrong:
            raise ConfigurationError(
                "params.yaml.class_map.superclasses: expected the data set's classes "
                f"({some_of(classes)}), got {some_of(wrong)} {problem}; correct the names, or set "
                "class_map.superclasses to null"
            )
    return tuple(groups[name] for name in classes)
