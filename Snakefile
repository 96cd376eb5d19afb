# nic-energy: the processing energy of neural image compression, measured and modelled.
#
#   results/images/{collection}/{image}.png                                 prepared images
#   results/{setup}/reference/idle.parquet, environment.json                idle reference
#   results/{setup}/config.json                                             configuration, written as a run starts
#   results/{setup}/raw/                                                    every attempt, append-only
#   results/{setup}/traces/{part}/{network}/q{quality}/{image}.parquet      accepted traces
#   results/{setup}/energy.csv, models/, tables/, figures/, report.html     what follows from them
#   results/comparison/                                                     set-ups side by side

import os

from snakemake.utils import min_version

min_version("9.27")
# For envs/nic-energy.post-deploy.sh, which installs this project where --sdm conda deploys the rest.
os.environ.update(NIC_ENERGY_PROJECT=str(workflow.basedir))


configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "rules/common.smk"
include: "rules/images.smk"
include: "rules/reference.smk"
include: "rules/measure.smk"
include: "rules/complexity.smk"
include: "rules/energy.smk"
include: "rules/external.smk"
include: "rules/models.smk"
include: "rules/report.smk"
include: "rules/compare.smk"


# On a cluster these run where Snakemake does: what needs a network, and what costs nothing.
localrules:
    all,
    images,
    download_images,
    tables,
    compare,


rule all:
    default_target: True
    input:
        campaign_traces,
        rules.measure_idle.output if MEASURING else [],
        rules.build_energy.output,
        rules.fit_energy_models.output,
        rules.fit_complexity_models.output,
        rules.rank_networks.output,
        rules.correlate_predictors.output,
        rules.compare_with_paper.output,
        rules.write_tables.output,
        rules.validate_energy_models.output,
        rules.compare_models.output,
        rules.fit_joint_model.output,
        external_meter_files(),
        figures,
        rules.write_report.output,


rule images:
    input:
        campaign_images,


rule tables:
    input:
        campaign_traces,
        rules.build_energy.output,
        rules.fit_energy_models.output,
        rules.fit_complexity_models.output,
        rules.rank_networks.output,
        rules.correlate_predictors.output,
        rules.compare_with_paper.output,
        rules.write_tables.output,
        rules.validate_energy_models.output,
        rules.compare_models.output,
        rules.fit_joint_model.output,


rule compare:
    input:
        rules.compare_setups.output,


onstart:
    shell("nic-energy plan --config-json {PLAN_CONFIG:q} --write {CONFIG_FILE:q}")
