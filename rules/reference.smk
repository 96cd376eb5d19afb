# The idle reference, recorded before anything is on the device (paper, section 3), and the passport of
# the power sensor.


rule measure_idle:
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
        config=CONFIG_FILE,
        digest=digest_of(CAMPAIGN.idle_settings()),
        code=fingerprint.of_idle(METER),
    shell:
        "nic-energy idle"
        " --config {params.config:q}"
        " --digest {params.digest}"
        " --output {output.idle:q}"
        " --environment {output.environment:q}"
        " 2> {log:q} || {{ rc=$?; tail -n 20 {log:q} >&2; exit $rc; }}"


rule measure_passport:
    input:
        idle=idle_of_passport,
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
        config=CONFIG_FILE,
        digest=digest_of(CAMPAIGN.passport_settings()),
        code=f"{fingerprint.of_passport(METER)}-{fingerprint.of_passport_analysis()}",
    shell:
        "nic-energy passport"
        " --config {params.config:q}"
        " --digest {params.digest}"
        " --output {output:q}"
        " 2> {log:q} || {{ rc=$?; tail -n 20 {log:q} >&2; exit $rc; }}"
