"""A teacher as an ONNX file, for programs without torch."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from dino.core.artifacts import replacing
from dino.core.errors import CheckpointError

IMAGES, FEATURES = "images", "features"
TOLERANCE = 1e-4
OPSET = 18
_CHECKED_BATCHES = (1, 3)


def save_onnx(
    path: Path, backbone: nn.Module, size_px: tuple[int, int], metadata: dict[str, str]
) -> float:
    """The largest difference between torch's features and those of the file that it writes.

    `images` (float32, batch x 3 x height x width, normalised as this project does it) become
    `features` (batch x dim); the batch is free, the size is not, so that positions are those of
    the size and nothing interpolates them. The file holds `metadata` as its properties.
    onnxruntime computes random images of several batch sizes: raises `CheckpointError` when one
    number differs by more than TOLERANCE, or the network has operations that ONNX lacks, and then
    writes nothing.
    """
    backbone = backbone.cpu().eval()
    with replacing(path) as temporary:
        with _quietly():
            try:
                program = torch.onnx.export(
                    backbone,
                    (torch.zeros(2, 3, *size_px),),
                    dynamo=True,
                    input_names=[IMAGES],
                    output_names=[FEATURES],
                    dynamic_shapes=({0: torch.export.Dim("batch")},),
                    opset_version=OPSET,
                    verbose=False,
                )
            except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
                reason = " ".join(str(error).split())[:200]
                raise CheckpointError(
                    f"{path}: torch cannot write this as ONNX ({reason})"
                ) from None
        assert program is not None
        model = program.model_proto
        onnx.helper.set_model_props(model, metadata)
        _forget_where_it_was_made(model)
        temporary.write_bytes(model.SerializeToString(deterministic=True))
        difference = _difference(temporary, backbone, size_px)
        if not difference <= TOLERANCE:
            raise CheckpointError(
                f"{path}: expected onnxruntime's features within {TOLERANCE} of torch's, got "
                f"{difference:.1e}; nothing was written"
            )
    return difference


@torch.no_grad()
def _difference(path: Path, backbone: nn.Module, size_px: tuple[int, int]) -> float:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    largest = 0.0
    for batch in _CHECKED_BATCHES:
        images = torch.randn(batch, 3, *size_px, generator=generator)
        (features,) = session.run([FEATURES], {IMAGES: images.numpy()})
        difference = float(np.abs(features - backbone(images).numpy()).max())
        # NaN compares as neither larger nor smaller
        largest = difference if difference != difference else max(largest, difference)
    return largest


def _forget_where_it_was_made(model: onnx.ModelProto) -> None:
    """Remove what the exporter says of source files and of itself: equal teachers, equal bytes."""
    model.doc_string = ""
    for part in (model.graph, *model.functions):
        for entry in (part, *part.node, *part.value_info):
            entry.doc_string = ""
            del entry.metadata_props[:]


@contextmanager
def _quietly() -> Iterator[None]:
    """A block in which the exporter keeps its progress and its advice to itself."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
