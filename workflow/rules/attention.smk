rule attention:
    input:
        f"data/{TRAINED_ON}/manifest.parquet",
        f"data/{TRAINED_ON}/images.arrow",
        f"data/{TRAINED_ON}/dataset.json",
        "artifacts/{run}/teacher/config.json",
        "artifacts/{run}/teacher/model.safetensors",
        "artifacts/{run}/random_init/config.json",
        "artifacts/{run}/random_init/model.safetensors",
        recipe="work/recipes/attention/{run}.json",
    output:
        "artifacts/{run}/attention_maps.npz",
        "results/runs/{run}/attention.json",
        "results/runs/{run}/attention_images.csv",
        "results/runs/{run}/provenance/attention.json",
    log:
        "logs/attention/{run}.log",
    threads: ALL_CORES
    resources:
        here=HERE["attention"],
    shell:
        "dino attention --run {wildcards.run} 2>&1 | tee -i {log}"
