# The idle reference, before anything is on the device (paper, section 3).


rule measure_idle:
    output:
        idle=f"{RESULTS}/reference/idle.parquet",
        environment=f"{RESULTS}/reference/environment.json",
    log:
        f"logs/{SETUP}/measure_idle.log",
    conda:
        CONDA
    params:
        folder=RESULTS,
        settings=canonical_json(CAMPAIGN.idle_settings()),
        run_settings=canonical_json(CAMPAIGN.settings()),
        code=fingerprint.of_idle(METER),
        fresh="--fresh" if CAMPAIGN.document["remeasure"] else "",
    threads: workflow.cores
    resources:
        gpu=1,
        mem_mb=4000,
        runtime=30,
    shell:
        "nic-energy idle"
        " --setup {SETUP:q}"
        " --setup-folder {params.folder:q}"
        " --settings {params.settings:q}"
        " --run-settings {params.run_settings:q}"
        " --output {output.idle:q}"
        " --environment {output.environment:q}"
        " {params.fresh}"
        " 2> {log:q} || {{ rc=$?; tail -n 20 {log:q} >&2; exit $rc; }}"
