# The set-up's configuration as one file, its idle reference, recorded before anything is on the
# device (paper, section 3), and then the passport of its power sensor.


rule write_config:
    output:
        f"{RESULTS}/config.json",
    log:
        f"logs/{SETUP}/write_config.log",
    conda:
        CONDA
    resources:
        mem_mb=500,
        runtime=5,
    params:
        config=PLAN_CONFIG,
    script:
        "../workflow/scripts/write_config.py"


rule measure_idle:
    input:
        config=ancient(rules.write_config.output[0]),
    output:
        idle=f"{RESULTS}/reference/idle.parquet",
        environment=f"{RESULTS}/reference/environment.json",
    log:
        f"logs/{SETUP}/measure_idle.log",
    conda:
        CONDA
    threads: workflow.cores
    resources:
        gpu=1,
        mem_mb=4000,
        runtime=30,
    params:
        digest=digest_of(CAMPAIGN.idle_settings()),
        code=fingerprint.of_idle(METER),
        remeasure=CAMPAIGN.document["remeasure"],
    shell:
        "nic-energy idle"
        " --config {input.config:q}"
        " --digest {params.digest}"
        " --output {output.idle:q}"
        " --environment {output.environment:q}"
        " 2> {log:q} || {{ rc=$?; tail -n 20 {log:q} >&2; exit $rc; }}"


rule measure_passport:
    input:
        config=ancient(rules.write_config.output[0]),
        idle=ancient(rules.measure_idle.output.idle),
    output:
        f"{RESULTS}/reference/passport.json",
    log:
        f"logs/{SETUP}/measure_passport.log",
    conda:
        CONDA
    threads: workflow.cores
    resources:
        gpu=1,
        mem_mb=4000,
        runtime=15,
    params:
        digest=digest_of(CAMPAIGN.passport_settings()),
        code=f"{fingerprint.of_passport(METER)}-{fingerprint.of_passport_analysis()}",
        remeasure=CAMPAIGN.document["remeasure"],
    shell:
        "nic-energy passport"
        " --config {input.config:q}"
        " --digest {params.digest}"
        " --output {output:q}"
        " 2> {log:q} || {{ rc=$?; tail -n 20 {log:q} >&2; exit $rc; }}"
