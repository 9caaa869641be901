rule baselines:
    input:
        f"data/{TRAINED_ON}/manifest.parquet",
        f"data/{TRAINED_ON}/images.arrow",
        f"data/{TRAINED_ON}/dataset.json",
        recipe="work/recipes/baselines.json",
    output:
        "results/baselines.json",
        "results/provenance/baselines.json",
    log:
        "logs/baselines.log",
    threads: ALL_CORES
    resources:
        here=HERE["baselines"],
    shell:
        "dino baselines 2>&1 | tee -i {log}"
