# Figures 1 to 3 of the paper for this set-up, its idle power and its uncertainty as figures, and one
# page that shows everything.


rule plot_power_trace:
    input:
        energy=rules.build_energy.output.energy,
        idle=rules.measure_idle.output.idle,
    output:
        svg=f"{RESULTS}/figures/power_trace.svg",
        png=f"{RESULTS}/figures/power_trace.png",
    log:
        f"logs/{SETUP}/plot_power_trace.log",
    conda:
        CONDA
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        setup=SETUP,
    script:
        "../workflow/scripts/plot_power_trace.py"


rule plot_energy_over_pixels:
    input:
        energy=rules.build_energy.output.energy,
        models=rules.fit_energy_models.output.models,
    output:
        svg=f"{RESULTS}/figures/energy_over_pixels_{{network}}.svg",
        png=f"{RESULTS}/figures/energy_over_pixels_{{network}}.png",
    log:
        f"logs/{SETUP}/plot_energy_over_pixels/{{network}}.log",
    conda:
        CONDA
    resources:
        mem_mb=2000,
        runtime=10,
    script:
        "../workflow/scripts/plot_energy_over_pixels.py"


rule plot_slope_over_mac:
    input:
        models=rules.fit_energy_models.output.models,
        slopes=rules.fit_complexity_models.output[0],
        complexity=rules.count_macs.output.summary,
    output:
        svg=f"{RESULTS}/figures/slope_over_mac.svg",
        png=f"{RESULTS}/figures/slope_over_mac.png",
    log:
        f"logs/{SETUP}/plot_slope_over_mac.log",
    conda:
        CONDA
    resources:
        mem_mb=2000,
        runtime=10,
    script:
        "../workflow/scripts/plot_slope_over_mac.py"


rule plot_idle_drift:
    input:
        energy=rules.build_energy.output.energy,
        idle=rules.build_energy.output.idle,
    output:
        svg=f"{RESULTS}/figures/idle_drift.svg",
        png=f"{RESULTS}/figures/idle_drift.png",
    log:
        f"logs/{SETUP}/plot_idle_drift.log",
    conda:
        CONDA
    resources:
        mem_mb=2000,
        runtime=10,
    script:
        "../workflow/scripts/plot_idle_drift.py"


rule plot_uncertainty_budget:
    input:
        energy=rules.build_energy.output.energy,
    output:
        svg=f"{RESULTS}/figures/uncertainty_budget.svg",
        png=f"{RESULTS}/figures/uncertainty_budget.png",
    log:
        f"logs/{SETUP}/plot_uncertainty_budget.log",
    conda:
        CONDA
    resources:
        mem_mb=2000,
        runtime=10,
    script:
        "../workflow/scripts/plot_uncertainty_budget.py"


rule write_report:
    input:
        energy=rules.build_energy.output.energy,
        estimators=rules.build_energy.output.estimators,
        missing=rules.build_energy.output.missing,
        idle=rules.build_energy.output.idle,
        diagnostics=rules.build_energy.output.diagnostics,
        models=rules.fit_energy_models.output.models,
        slopes=rules.fit_complexity_models.output[0],
        ranking=rules.rank_networks.output[0],
        complexity=rules.count_macs.output.summary,
        external_meter=external_meter_files(),
        figures=figures(),
    output:
        f"{RESULTS}/report.html",
    log:
        f"logs/{SETUP}/write_report.log",
    conda:
        CONDA
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        config=PLAN_CONFIG,
    script:
        "../workflow/scripts/write_report.py"
