"""report: write the table of all scores, summary.json, tables, figures and report.html."""

from typing import TYPE_CHECKING

from dino.core.artifacts import replacing, write_folder, write_json, write_text
from dino.core.paths import Project
from dino.reporting.agreement import ensure_agreement
from dino.reporting.figures.catalogue import all_pictures
from dino.reporting.page import page
from dino.reporting.reading import read_provenance, read_results
from dino.reporting.summary import headlines, summarise
from dino.reporting.tables.catalogue import all_tables, timed_tables

if TYPE_CHECKING:
    from dino.core.configuration.parameters import Parameters


def execute(project: Project, parameters: "Parameters") -> None:
    """Write everything below results/ that covers all runs.

    Raises `DinoError` where results do not belong together, or are not of the form they should be.

    It is a function of the result files and params.yaml: run again, it writes the same bytes.
    """
    runs = parameters.all_runs()
    ensure_agreement(project, parameters, runs)
    results = read_results(project, parameters)
    provenance = read_provenance(project, parameters)
    summary = summarise(results)
    tables = all_tables(results, summary, parameters)
    pictures = all_pictures(results, summary, prototypes=parameters.pretrain.head.out_dim)
    text = page(results, summary, tables, pictures, provenance)

    folder = project.results
    write_json(folder / "provenance.json", provenance)
    write_folder(
        folder / "tables",
        {
            f"{table.name}.{kind}": content.encode()
            for table in (*tables, *timed_tables(results, summary, provenance))
            for kind, content in (
                ("csv", table.csv()),
                ("md", table.markdown()),
                ("tex", table.latex()),
            )
        },
    )
    write_folder(folder / "figures", {f"{p.name}.png": p.png for p in pictures})
    write_folder(folder / "figures_svg", {f"{p.name}.svg": p.svg for p in pictures})
    write_text(folder / "report.html", text)
    write_text(folder / "scores.csv", results.scores.to_csv(index=False, lineterminator="\n"))
    with replacing(folder / "scores.parquet") as temporary:
        results.scores.to_parquet(temporary, index=False)
    write_json(folder / "metrics.json", headlines(results, summary))
    # last: who finds it finds everything else
    write_json(folder / "summary.json", summary)
