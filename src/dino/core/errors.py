"""Errors that a user can act on; the command line prints them as one line, without a traceback."""


class DinoError(Exception):
    """What is wrong, where, what was expected and what to do, in one line."""


class ConfigurationError(DinoError):
    """A value in params.yaml or on the command line that cannot be used."""


class DataError(DinoError):
    """A source, manifest or image that is missing, damaged or not what it claims to be."""


class CheckpointError(DinoError):
    """A checkpoint or exported model that is missing, damaged or belongs to other parameters."""


class CollapseError(DinoError):
    """Training that has left the region in which it can recover (non-finite loss)."""
