rule finetune:
    input:
        f"data/{TRAINED_ON}/manifest.parquet",
        f"data/{TRAINED_ON}/images.arrow",
        f"data/{TRAINED_ON}/dataset.json",
        "artifacts/{run}/teacher/config.json",
        "artifacts/{run}/teacher/model.safetensors",
        "artifacts/{run}/random_init/config.json",
        "artifacts/{run}/random_init/model.safetensors",
        recipe="work/recipes/finetune/{run}.json",
    output:
        "results/runs/{run}/finetune.json",
        "results/runs/{run}/provenance/finetune.json",
    log:
        "logs/finetune/{run}.log",
    threads: ALL_CORES
    resources:
        here=HERE["finetune"],
    shell:
        "dino finetune --run {wildcards.run} 2>&1 | tee -i {log}"
