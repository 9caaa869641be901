rule knn:
    input:
        f"data/{TRAINED_ON}/manifest.parquet",
        f"data/{TRAINED_ON}/dataset.json",
        "artifacts/{run}/features/teacher.safetensors",
        "artifacts/{run}/features/random_init.safetensors",
        recipe="work/recipes/knn/{run}.json",
    output:
        "results/runs/{run}/knn.json",
        "results/runs/{run}/provenance/knn.json",
    log:
        "logs/knn/{run}.log",
    threads: ALL_CORES
    resources:
        here=HERE["knn"],
    shell:
        "dino knn --run {wildcards.run} 2>&1 | tee -i {log}"
