# Multiply-accumulate operations of every network and quality of the networks table.


rule count_macs:
    input:
        networks=str(CAMPAIGN.networks_table),
    output:
        summary="results/complexity.csv",
        layers="results/complexity_layers.csv",
    log:
        "logs/count_macs.log",
    conda:
        CONDA
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        code=COUNTING_CODE,
        modules=counted_modules,
    script:
        "../workflow/scripts/count_macs.py"
