rule prepare:
    input:
        recipe="work/recipes/prepare.json",
    output:
        "data/prepared/manifest.parquet",
        "data/prepared/images.arrow",
        "data/prepared/dataset.json",
        "data/prepared/quarantine.csv",
        "data/prepared/leaks.csv",
        "results/provenance/prepare.json",
    log:
        "logs/prepare.log",
    resources:
        here=HERE["prepare"],
    shell:
        "dino prepare 2>&1 | tee -i {log}"
