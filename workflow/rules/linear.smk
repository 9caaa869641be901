rule linear:
    input:
        f"data/{TRAINED_ON}/manifest.parquet",
        f"data/{TRAINED_ON}/dataset.json",
        "artifacts/{run}/features/teacher.safetensors",
        "artifacts/{run}/features/random_init.safetensors",
        recipe="work/recipes/linear/{run}.json",
    output:
        "results/runs/{run}/linear.json",
        "results/runs/{run}/provenance/linear.json",
    log:
        "logs/linear/{run}.log",
    threads: ALL_CORES
    resources:
        here=HERE["linear"],
    shell:
        "dino linear --run {wildcards.run} 2>&1 | tee -i {log}"
