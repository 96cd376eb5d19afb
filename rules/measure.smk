# One modality: network, quality level and image (paper, section 3). The trace is a hard link to
# an attempt in the raw store, which Snakemake does not know of and so never deletes.


rule measure:
    input:
        image=f"results/images/{COLLECTION}/png/{{image}}.png",
        idle=idle_of_modality,
        passport=passport_of_modality,
    output:
        f"{RESULTS}/traces/{{part}}/{{network}}/q{{quality}}/{{image}}.parquet",
    log:
        f"logs/{SETUP}/measure/{{part}}/{{network}}/q{{quality}}/{{image}}.log",
    priority: priority_of_modality
    conda:
        CONDA
    threads: workflow.cores
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=60,
    params:
        config=CONFIG_FILE,
        digest=SETTINGS_DIGEST,
        stale=measurement_params,
        passport=PASSPORT_OPTION,
        worker=WORKER_OPTION,
    shell:
        "nic-energy measure"
        " --config {params.config:q}"
        " --digest {params.digest}"
        " --part {wildcards.part:q}"
        " --network {wildcards.network:q}"
        " --quality {wildcards.quality}"
        " --image {wildcards.image:q}"
        " --image-file {input.image:q}"
        " --idle {input.idle:q}"
        " {params.passport}"
        " {params.worker}"
        " --output {output:q}"
        " 2> {log:q} || {{ rc=$?; tail -n 20 {log:q} >&2; exit $rc; }}"
