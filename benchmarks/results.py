"""results/benchmarks.json and its table in Markdown: merged, so that one part can run alone."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dino.core.artifacts import read_json, write_json, write_text

JSON, MARKDOWN = "benchmarks.json", "benchmarks.md"
SIGNIFICANT_DIGITS = 4
_SETTINGS = {
    "train_step_float32": "training step, ViT-S/16, batch 8: float32 / float32",
    "train_step_bf16": "training step: float32 / bf16",
    "train_step_bf16_autocast": "training step: bf16 autocast / bf16",
    "train_step_peak_share": "training step: share of the bf16 peak",
    "small_step": "default small model, end to end",
    "augmentation": "JPEG of 500 by 375 to 10 crops, one core",
    "loss_time": "loss, forward and backward",
    "loss_memory": "loss, peak memory",
    "knn_loop": "20-NN, 60,000 by 10,000 features of 384: plain float32 loop / exact with bf16",
    "linear_cached": "linear classifier on the first run: new crops each epoch / cached features",
    "update": "clipping, AdamW, moving average",
}


def merged(
    old: dict[str, Any] | None, new: dict[str, Any], machine: dict[str, Any]
) -> dict[str, Any]:
    """`old` with the results of `new`; another machine's results are left out."""
    kept = old if old is not None and old.get("machine") == machine else {}
    return {**kept, **rounded(new), "machine": machine}


def rounded(value: Any) -> Any:
    """`value` with four significant digits in every float."""
    if isinstance(value, float):
        return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return value


def save(folder: Path, new: dict[str, Any], machine: dict[str, Any]) -> dict[str, Any]:
    """Write both files below `folder`; returns the merged results."""
    path = folder / JSON
    results = merged(read_json(path) if path.is_file() else None, new, machine)
    write_json(path, results)
    write_text(folder / MARKDOWN, markdown(results))
    return results


def markdown(results: dict[str, Any]) -> str:
    """The results as tables, with the machine above them."""
    machine = results["machine"]
    lines = [
        "# Speed and memory",
        "",
        f"{machine['processor']}, {machine['cores']} cores"
        f"{', AMX' if machine['amx_bf16'] else ', no AMX'}; torch {machine['torch']}, as many "
        f"threads; OMP_WAIT_POLICY {machine['omp_wait_policy']}. Written by `make bench`; how to "
        "read it: docs/benchmarks.md.",
        "",
    ]
    peak = results.get("matrix_product_peak")
    if peak:
        lines += [
            f"Matrix products of 4096³ reach {peak['float32_tflops']} TFLOP/s in float32 and "
            f"{peak['bf16_tflops']} in bf16.",
            "",
        ]
    rows = [_row(name, results[name]) for name in _SETTINGS if name in results]
    lines += _table(["name", "what: textbook / ours", "textbook", "ours", "ratio"], rows)
    lines += [
        f"- {name}: {results[name]['reason']}"
        for name in _SETTINGS
        if results.get(name, {}).get("reason")
    ]
    if "growth" in results:
        lines += ["", *_growth(results["growth"])]
    return "\n".join(lines).rstrip() + "\n"


def _row(name: str, result: dict[str, Any]) -> list[str]:
    if "ours_mib" in result:
        absolute = [f"{result[f'{side}_mib']:.0f} MiB" for side in ("textbook", "ours")]
    else:
        absolute = [_duration(result[f"{side}_s"]) for side in ("textbook", "ours")]
    return [name, _SETTINGS[name], *absolute, _headline(result)]


def _headline(result: dict[str, Any]) -> str:
    key = "share" if "share" in result else "ratio"
    value = result[key]
    if value is None:
        return f"null (measured {_number(key, result[f'measured_{key}'])})"
    return _number(key, value)


def _number(key: str, value: float) -> str:
    return f"{value:.1%}" if key == "share" else f"{value:.2f}"


def _duration(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"


def _growth(growth: dict[str, Any]) -> list[str]:
    rows = [
        [
            row["series"],
            str(row["batch"]),
            f"2 + {row['local_crops']}",
            str(row["prototypes"]),
            str(row["image_px"]),
            f"{row['seconds']:.3f}",
            f"{row['seconds'] / row['batch']:.3f}",
        ]
        for row in growth["rows"]
    ]
    deviations = ", ".join(
        f"{name} {value:.1%}" for name, value in growth["deviation_from_line"].items()
    )
    return [
        "## Growth",
        "",
        f"Seconds of one training step of ours in {growth['precision']}, one size moved at a time. "
        f"Largest deviation from a straight line: {deviations}.",
        "",
        *_table(
            ["moved", "batch", "crops", "K", "global crop, px", "seconds", "seconds an image"], rows
        ),
    ]


def _table(header: list[str], rows: Iterable[list[str]]) -> list[str]:
    alignment = ["---" if column < 2 else "---:" for column in range(len(header))]
    return [f"| {' | '.join(row)} |" for row in (header, alignment, *rows)] + [""]
