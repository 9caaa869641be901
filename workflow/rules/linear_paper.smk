rule linear_paper:
    input:
        f"data/{TRAINED_ON}/manifest.parquet",
        f"data/{TRAINED_ON}/images.arrow",
        f"data/{TRAINED_ON}/dataset.json",
        "artifacts/{run}/teacher/config.json",
        "artifacts/{run}/teacher/model.safetensors",
        "artifacts/{run}/features/teacher.safetensors",
        recipe="work/recipes/linear_paper/{run}.json",
    output:
        "results/runs/{run}/linear_paper.json",
        "results/runs/{run}/provenance/linear_paper.json",
    log:
        "logs/linear_paper/{run}.log",
    threads: ALL_CORES
    resources:
        here=HERE["linear_paper"],
    shell:
        "dino linear_paper --run {wildcards.run} 2>&1 | tee -i {log}"
