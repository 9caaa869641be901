# It reads every stage's outputs in results/, the description of the data, and the attention maps.
rule report:
    input:
        f"data/{TRAINED_ON}/dataset.json",
        expand("artifacts/{run}/attention_maps.npz", run=RUNS),
        [
            expand(path, run=RUNS, dataset=TRAINED_ON)
            for stage in STAGES["report"].reads
            for path in getattr(rules, stage).output
            if path.startswith("results/")
        ],
        recipe="work/recipes/report.json",
    output:
        "results/summary.json",
        "results/metrics.json",
        "results/scores.csv",
        "results/scores.parquet",
        "results/provenance.json",
        directory("results/figures_svg"),
        report(
            "results/report.html",
            category="Report",
            caption="../report/report.rst",
        ),
        report(
            directory("results/figures"),
            patterns=["{name}.png"],
            category="Figures",
            labels={"figure": "{name}"},
        ),
        report(
            directory("results/tables"),
            patterns=["{name}.csv"],
            category="Tables",
            labels={"table": "{name}"},
        ),
    log:
        "logs/report.log",
    resources:
        here=HERE["report"],
    shell:
        "dino report 2>&1 | tee -i {log}"
