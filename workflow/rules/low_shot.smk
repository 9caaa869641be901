rule low_shot:
    input:
        f"data/{TRAINED_ON}/manifest.parquet",
        f"data/{TRAINED_ON}/dataset.json",
        "artifacts/{run}/features/teacher.safetensors",
        "artifacts/{run}/features/random_init.safetensors",
        recipe="work/recipes/low_shot/{run}.json",
    output:
        "results/runs/{run}/low_shot.json",
        "results/runs/{run}/provenance/low_shot.json",
    log:
        "logs/low_shot/{run}.log",
    threads: ALL_CORES
    resources:
        here=HERE["low_shot"],
    shell:
        "dino low_shot --run {wildcards.run} 2>&1 | tee -i {log}"
