"""The names that publishers of data sets give to the folders of splits."""

import re

_NAMES = {
    "train": ("train", "training", "trn"),
    "val": ("val", "valid", "validation", "validate", "dev"),
    "test": ("test", "testing", "tst"),
}
# such as train2017, Training Set, test_images, val-data
_DECORATION = re.compile(r"[ _.-]?(set|data|images?|imgs?|split|folder|\d+)$")


def split_called(folder: str) -> str | None:
    """The split that a folder of this name holds, in any case of letters; None: no split."""
    name = folder.lower()
    plain = _DECORATION.sub("", name)
    return next((split for split, names in _NAMES.items() if {name, plain} & set(names)), None)
