# Traces to energies, by Eq. (1): from the traces alone, so that another estimator measures nothing. Or the
# energies of a table that was brought along, after it has been checked.


rule build_energy:
    input:
        traces=campaign_traces,
        idle=rules.measure_idle.output.idle if MEASURING else [],
        index=f"results/images/{COLLECTION}/index.csv" if MEASURED else [],
        table=CAMPAIGN.document["energy_table"] or [],
        complexity=[] if MEASURED else rules.count_macs.output.summary,
    output:
        energy=f"{RESULTS}/energy.csv",
        parquet=f"{RESULTS}/energy.parquet",
        estimators=f"{RESULTS}/energy_estimators.csv",
        missing=f"{RESULTS}/missing.csv",
        idle=f"{RESULTS}/idle.csv",
        diagnostics=f"{RESULTS}/diagnostics.csv",
        anchors=f"{RESULTS}/anchors.csv",
        anchor_drift=f"{RESULTS}/anchor_drift.csv",
    log:
        f"logs/{SETUP}/build_energy.log",
    conda:
        CONDA
    threads: 4
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        config=ANALYSIS_CONFIG,
        networks=NETWORKS_DIGEST,
        there=traces_there,
    script:
        "../workflow/scripts/build_energy.py"
