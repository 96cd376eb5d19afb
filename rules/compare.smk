# Set-ups side by side: whatever lies under results/, this one and others, once their tables are built.


rule compare_setups:
    input:
        energy=compared_tables("energy.csv"),
        models=compared_tables("models/energy_models.csv"),
    output:
        slopes="results/comparison/slopes.csv",
        portability="results/comparison/portability.csv",
        ranking="results/comparison/ranking.csv",
        agreement="results/comparison/agreement.csv",
        joules="results/comparison/joules.csv",
        settings="results/comparison/settings.csv",
        svg=report(
            "results/comparison/figures/normalised_slopes.svg",
            caption="../workflow/report/comparison.rst",
            category="Set-ups side by side",
            labels={"what": "slopes over that of a reference"},
        ),
        png="results/comparison/figures/normalised_slopes.png",
        page=report(
            "results/comparison/comparison.html",
            caption="../workflow/report/comparison.rst",
            category="Set-ups side by side",
            labels={"what": "everything on one page"},
        ),
    log:
        "logs/compare_setups.log",
    conda:
        CONDA
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        folders=COMPARED,
        reference=reference_option(),
        output=lambda wildcards, output: str(Path(output.slopes).parent),
    shell:
        "nic-energy compare"
        " {params.folders:q}"
        " {params.reference}"
        " --output {params.output:q}"
        " > {log:q} 2>&1 || {{ rc=$?; tail -n 20 {log:q} >&2; exit $rc; }}"
