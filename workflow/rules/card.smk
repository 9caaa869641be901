rule card:
    input:
        f"data/{TRAINED_ON}/dataset.json",
        "artifacts/{run}/teacher/config.json",
        "results/runs/{run}/knn.json",
        "results/runs/{run}/linear.json",
        "results/runs/{run}/attention.json",
        "results/runs/{run}/provenance/pretrain.json",
        "results/runs/{run}/provenance/export.json",
        recipe="work/recipes/card/{run}.json",
    output:
        "artifacts/{run}/teacher/README.md",
        "results/runs/{run}/provenance/card.json",
    log:
        "logs/card/{run}.log",
    resources:
        here=HERE["card"],
    shell:
        "dino card --run {wildcards.run} 2>&1 | tee -i {log}"
