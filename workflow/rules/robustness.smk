rule robustness:
    input:
        f"data/{TRAINED_ON}/manifest.parquet",
        f"data/{TRAINED_ON}/images.arrow",
        f"data/{TRAINED_ON}/dataset.json",
        "artifacts/{run}/teacher/config.json",
        "artifacts/{run}/teacher/model.safetensors",
        "artifacts/{run}/random_init/config.json",
        "artifacts/{run}/random_init/model.safetensors",
        "artifacts/{run}/features/teacher.safetensors",
        "artifacts/{run}/features/random_init.safetensors",
        recipe="work/recipes/robustness/{run}.json",
    output:
        "results/runs/{run}/robustness.json",
        "results/runs/{run}/provenance/robustness.json",
    log:
        "logs/robustness/{run}.log",
    threads: ALL_CORES
    resources:
        here=HERE["robustness"],
    shell:
        "dino robustness --run {wildcards.run} 2>&1 | tee -i {log}"
