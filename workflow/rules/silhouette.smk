rule silhouette:
    input:
        f"data/{TRAINED_ON}/manifest.parquet",
        f"data/{TRAINED_ON}/dataset.json",
        "artifacts/{run}/features/teacher.safetensors",
        "artifacts/{run}/features/random_init.safetensors",
        recipe="work/recipes/silhouette/{run}.json",
    output:
        "results/runs/{run}/silhouette.json",
        "results/runs/{run}/provenance/silhouette.json",
    log:
        "logs/silhouette/{run}.log",
    threads: ALL_CORES
    resources:
        here=HERE["silhouette"],
    shell:
        "dino silhouette --run {wildcards.run} 2>&1 | tee -i {log}"
