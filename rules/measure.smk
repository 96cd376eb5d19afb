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
    params:
        config=PLAN_CONFIG,
    resources:
        mem_mb=500,
        runtime=5,
    script:
        "../workflow/scripts/plan_campaign.py"


rule measure:
    input:
        image=f"results/images/{COLLECTION}/png/{{image}}.png",
        idle=ancient(rules.measure_idle.output.idle),
        plan=ancient(rules.plan_campaign.output[0]),
    output:
        f"{RESULTS}/traces/{{part}}/{{network}}/q{{quality}}/{{image}}.parquet",
    log:
        f"logs/{SETUP}/measure/{{part}}/{{network}}/q{{quality}}/{{image}}.log",
    conda:
        CONDA
    params:
        stale=measurement_params,
    threads: workflow.cores
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=60,
    shell:
        "nic-energy measure"
        " --setup {SETUP:q}"
        " --setup-folder {RESULTS:q}"
        " --part {wildcards.part:q}"
        " --network {wildcards.network:q}"
        " --quality {wildcards.quality}"
        " --image {wildcards.image:q}"
        " --image-file {input.image:q}"
        " --idle {input.idle:q}"
        " --plan {input.plan:q}"
        " --settings {RUN_SETTINGS:q}"
        " --output {output:q}"
        " {RUN_OPTIONS}"
        " 2> {log:q} || {{ rc=$?; tail -n 20 {log:q} >&2; exit $rc; }}"
