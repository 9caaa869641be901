from snakemake.utils import min_version

min_version("9.19")


report: "workflow/report/workflow.rst"


# It checks params.yaml and the command line, and has to come before params.yaml is read.
include: "workflow/rules/common.smk"


configfile: "params.yaml"


include: "workflow/rules/prepare.smk"
include: "workflow/rules/pretrain.smk"
include: "workflow/rules/export.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/knn.smk"
include: "workflow/rules/linear.smk"
include: "workflow/rules/linear_paper.smk"
include: "workflow/rules/low_shot.smk"
include: "workflow/rules/attention.smk"
include: "workflow/rules/card.smk"
include: "workflow/rules/class_map.smk"
include: "workflow/rules/finetune.smk"
include: "workflow/rules/robustness.smk"
include: "workflow/rules/baselines.smk"
include: "workflow/rules/report.smk"


# Every stage's outputs, not only the last one's: Snakemake does not ask for a missing
# intermediate file whose own consumers look complete, and a stale result would pass for a new one.
rule all:
    default_target: True
    input:
        rules.prepare.output,
        expand(rules.pretrain.output, run=RUNS),
        expand(rules.export.output, run=RUNS),
        expand(rules.features.output, run=RUNS),
        expand(rules.knn.output, run=RUNS),
        expand(rules.linear.output, run=RUNS),
        expand(rules.linear_paper.output, run=RUNS),
        expand(rules.low_shot.output, run=RUNS),
        expand(rules.attention.output, run=RUNS),
        expand(rules.card.output, run=RUNS),
        expand(rules.class_map.output, run=RUNS),
        expand(rules.finetune.output, run=RUNS),
        expand(rules.robustness.output, run=RUNS),
        rules.baselines.output,
        rules.report.output,
