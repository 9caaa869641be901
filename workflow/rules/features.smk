rule features:
    input:
        f"data/{TRAINED_ON}/manifest.parquet",
        f"data/{TRAINED_ON}/images.arrow",
        f"data/{TRAINED_ON}/dataset.json",
        "artifacts/{run}/teacher/config.json",
        "artifacts/{run}/teacher/model.safetensors",
        "artifacts/{run}/random_init/config.json",
        "artifacts/{run}/random_init/model.safetensors",
        recipe="work/recipes/features/{run}.json",
    output:
        "artifacts/{run}/features/teacher.safetensors",
        "artifacts/{run}/features/random_init.safetensors",
        "results/runs/{run}/provenance/features.json",
    log:
        "logs/features/{run}.log",
    threads: ALL_CORES
    resources:
        here=HERE["features"],
    shell:
        "dino features --run {wildcards.run} 2>&1 | tee -i {log}"
