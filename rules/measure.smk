# One modality: network, quality level and image (paper, section 3). The trace is a hard link to
# an attempt in the raw store, which Snakemake does not know of and so never deletes.


rule plan_campaign:
    input:
        index=f"results/images/{COLLECTION}/index.csv",
    output:
        f"{RESULTS}/plan.json",
    log:
        f"logs/{SETUP}/plan_campaign.log",
    conda:
        CONDA
    resources:
        mem_mb=500,
        runtime=5,
    params:
        config=PLAN_CONFIG,
    script:
        "../workflow/scripts/plan_campaign.py"


rule measure:
    input:
        image=f"results/images/{COLLECTION}/png/{{image}}.png",
        config=ancient(rules.write_config.output[0]),
        idle=ancient(rules.measure_idle.output.idle),
        passport=ancient(rules.measure_passport.output[0]) if CAMPAIGN.passport else [],
        plan=ancient(rules.plan_campaign.output[0]),
    output:
        f"{RESULTS}/traces/{{part}}/{{network}}/q{{quality}}/{{image}}.parquet",
    log:
        f"logs/{SETUP}/measure/{{part}}/{{network}}/q{{quality}}/{{image}}.log",
    conda:
        CONDA
    threads: workflow.cores
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=60,
    params:
        digest=SETTINGS_DIGEST,
        stale=measurement_params,
        passport=passport_option(rules.measure_passport.output),
    shell:
        "nic-energy measure"
        " --config {input.config:q}"
        " --digest {params.digest}"
        " --part {wildcards.part:q}"
        " --network {wildcards.network:q}"
        " --quality {wildcards.quality}"
        " --image {wildcards.image:q}"
        " --image-file {input.image:q}"
        " --idle {input.idle:q}"
        " {params.passport}"
        " --plan {input.plan:q}"
        " --output {output:q}"
        " 2> {log:q} || {{ rc=$?; tail -n 20 {log:q} >&2; exit $rc; }}"
