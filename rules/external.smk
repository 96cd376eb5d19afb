# The sensor against an external meter that ran beside the campaign (paper, section 3): from traces and the
# meter's log alone, so that another log measures nothing.


rule compare_external_meter:
    input:
        energy=rules.build_energy.output.energy,
        traces=campaign_traces,
        log=meter_logs(),
    output:
        runs=f"{RESULTS}/external_meter.csv",
        summary=f"{RESULTS}/external_meter.json",
    log:
        f"logs/{SETUP}/compare_external_meter.log",
    conda:
        CONDA
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        config=ANALYSIS_CONFIG,
    script:
        "../workflow/scripts/compare_external_meter.py"


rule plot_external_meter:
    input:
        runs=rules.compare_external_meter.output.runs,
        summary=rules.compare_external_meter.output.summary,
    output:
        svg=report(
            f"{RESULTS}/figures/external_meter.svg",
            caption="../workflow/report/external_meter.rst",
            category="Measurement",
            labels={"figure": "external meter"},
        ),
        png=f"{RESULTS}/figures/external_meter.png",
    log:
        f"logs/{SETUP}/plot_external_meter.log",
    conda:
        CONDA
    resources:
        mem_mb=2000,
        runtime=10,
    script:
        "../workflow/scripts/plot_external_meter.py"
