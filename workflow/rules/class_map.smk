rule class_map:
    input:
        f"data/{TRAINED_ON}/manifest.parquet",
        f"data/{TRAINED_ON}/dataset.json",
        "artifacts/{run}/features/teacher.safetensors",
        "artifacts/{run}/features/random_init.safetensors",
        recipe="work/recipes/class_map/{run}.json",
    output:
        "results/runs/{run}/class_map.json",
        "results/runs/{run}/provenance/class_map.json",
    log:
        "logs/class_map/{run}.log",
    threads: ALL_CORES
    resources:
        here=HERE["class_map"],
    shell:
        "dino class_map --run {wildcards.run} 2>&1 | tee -i {log}"
