from snakemake.utils import min_version

min_version("9.19")


report: "workflow/report/workflow.rst"


# It checks params.yaml and the command line, and has to come before params.yaml is read.
include: "workflow/rules/common.smk"


configfile: "params.yaml"


for stage in STAGES:

    include: f"workflow/rules/{stage}.smk"


# Every stage's outputs, not only the last one's: Snakemake does not ask for a missing
# intermediate file whose own consumers look complete, and a stale result would pass for a new one.
rule all:
    default_target: True
    input:
        [
            expand(getattr(rules, stage).output, run=RUNS, dataset=TRAINED_ON)
            for stage in STAGES
        ],
