rule pretrain:
    input:
        f"data/{TRAINED_ON}/manifest.parquet",
        f"data/{TRAINED_ON}/images.arrow",
        f"data/{TRAINED_ON}/dataset.json",
        recipe="work/recipes/pretrain/{run}.json",
    output:
        "artifacts/{run}/checkpoint.pth",
        "results/runs/{run}/pretrain.csv",
        "results/runs/{run}/provenance/pretrain.json",
    log:
        "logs/pretrain/{run}.log",
    threads: ALL_CORES
    resources:
        here=HERE["pretrain"],
    shell:
        "dino pretrain --run {wildcards.run} 2>&1 | tee -i {log}"
