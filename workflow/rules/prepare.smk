rule prepare:
    input:
        recipe="work/recipes/prepare/{dataset}.json",
    output:
        "data/{dataset}/manifest.parquet",
        "data/{dataset}/images.arrow",
        "data/{dataset}/dataset.json",
        "data/{dataset}/quarantine.csv",
        "data/{dataset}/leaks.csv",
        "results/provenance/prepare/{dataset}.json",
    log:
        "logs/prepare/{dataset}.log",
    resources:
        here=HERE["prepare"],
    shell:
        "dino prepare --dataset {wildcards.dataset} 2>&1 | tee -i {log}"
