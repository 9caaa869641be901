rule export:
    input:
        "artifacts/{run}/checkpoint.pth",
        recipe="work/recipes/export/{run}.json",
    output:
        "artifacts/{run}/teacher/config.json",
        "artifacts/{run}/teacher/model.safetensors",
        "artifacts/{run}/random_init/config.json",
        "artifacts/{run}/random_init/model.safetensors",
        "results/runs/{run}/provenance/export.json",
    log:
        "logs/export/{run}.log",
    resources:
        here=HERE["export"],
    shell:
        "dino export --run {wildcards.run} 2>&1 | tee -i {log}"
