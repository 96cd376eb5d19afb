# Figures 1 to 3 and the tables of the paper for this set-up, further figures, and one page that shows
# everything.


rule plot_power_trace:
    input:
        energy=rules.build_energy.output.energy,
    output:
        svg=report(
            f"{RESULTS}/figures/power_trace.svg",
            caption="../workflow/report/power_trace.rst",
            category="Measurement",
            labels={"figure": "power trace"},
        ),
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
        paper=PAPER,
    output:
        svg=report(
            f"{RESULTS}/figures/energy_over_pixels_{{network}}.svg",
            caption="../workflow/report/energy_over_pixels.rst",
            category="Energy and models",
            labels={"figure": "energy over pixels", "network": "{network}"},
        ),
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
        paper=PAPER,
        models=rules.fit_energy_models.output.models,
        slopes=rules.fit_complexity_models.output[0],
        complexity=rules.count_macs.output.summary,
    output:
        svg=report(
            f"{RESULTS}/figures/slope_over_mac.svg",
            caption="../workflow/report/slope_over_mac.rst",
            category="Energy and models",
            labels={"figure": "slope over MAC", "network": "all"},
        ),
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


rule plot_predictor_correlations:
    input:
        paper=PAPER,
        predictors=rules.correlate_predictors.output[0],
        complexity=rules.count_macs.output.summary,
    output:
        svg=report(
            f"{RESULTS}/figures/predictor_correlations.svg",
            caption="../workflow/report/predictor_correlations.rst",
            category="Energy and models",
            labels={"figure": "network parameters", "network": "all"},
        ),
        png=f"{RESULTS}/figures/predictor_correlations.png",
    log:
        f"logs/{SETUP}/plot_predictor_correlations.log",
    conda:
        CONDA
    resources:
        mem_mb=2000,
        runtime=10,
    script:
        "../workflow/scripts/plot_predictor_correlations.py"


rule plot_idle_drift:
    input:
        energy=rules.build_energy.output.energy,
        idle=rules.build_energy.output.idle,
    output:
        svg=report(
            f"{RESULTS}/figures/idle_drift.svg",
            caption="../workflow/report/idle_drift.rst",
            category="Measurement",
            labels={"figure": "idle drift"},
        ),
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
        svg=report(
            f"{RESULTS}/figures/uncertainty_budget.svg",
            caption="../workflow/report/uncertainty_budget.rst",
            category="Measurement",
            labels={"figure": "uncertainty budget"},
        ),
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


rule write_tables:
    input:
        comparison=rules.compare_with_paper.output[0],
        predictors=rules.correlate_predictors.output[0],
        complexity=rules.count_macs.output.summary,
    output:
        expand(
            "{folder}/{name}.{suffix}",
            folder=f"{RESULTS}/tables",
            name=TYPESET,
            suffix=["csv", "tex"],
        ),
        [
            report(
                f"{RESULTS}/tables/{name}.html",
                caption="../workflow/report/table.rst",
                category="Beside the paper",
                labels={"table": name},
            )
            for name in TYPESET
        ],
    log:
        f"logs/{SETUP}/write_tables.log",
    conda:
        CONDA
    resources:
        mem_mb=2000,
        runtime=10,
    script:
        "../workflow/scripts/write_tables.py"


rule plot_residuals:
    input:
        energy=rules.build_energy.output.energy,
        residuals=rules.validate_energy_models.output.residuals,
    output:
        svg=report(
            f"{RESULTS}/figures/residuals.svg",
            caption="../workflow/report/residuals.rst",
            category="Energy and models",
            labels={"figure": "residuals", "network": "all"},
        ),
        png=f"{RESULTS}/figures/residuals.png",
    log:
        f"logs/{SETUP}/plot_residuals.log",
    conda:
        CONDA
    resources:
        mem_mb=2000,
        runtime=10,
    script:
        "../workflow/scripts/plot_residuals.py"


rule plot_joint_model:
    input:
        rules.fit_joint_model.output.model,
    output:
        svg=report(
            f"{RESULTS}/figures/joint_model.svg",
            caption="../workflow/report/joint_model.rst",
            category="Energy and models",
            labels={"figure": "joint model", "network": "all"},
        ),
        png=f"{RESULTS}/figures/joint_model.png",
    log:
        f"logs/{SETUP}/plot_joint_model.log",
    conda:
        CONDA
    resources:
        mem_mb=2000,
        runtime=10,
    script:
        "../workflow/scripts/plot_joint_model.py"


rule write_report:
    input:
        energy=rules.build_energy.output.energy,
        estimators=rules.build_energy.output.estimators,
        missing=rules.build_energy.output.missing,
        idle=rules.build_energy.output.idle,
        diagnostics=rules.build_energy.output.diagnostics,
        anchor_drift=rules.build_energy.output.anchor_drift,
        models=rules.fit_energy_models.output.models,
        slopes=rules.fit_complexity_models.output[0],
        ranking=rules.rank_networks.output[0],
        comparison=rules.compare_with_paper.output[0],
        predictors=rules.correlate_predictors.output[0],
        validation=rules.validate_energy_models.output,
        regressions=rules.compare_models.output,
        joint=rules.fit_joint_model.output,
        complexity=rules.count_macs.output.summary,
        external_meter=external_meter_files(),
        environment=rules.measure_idle.output.environment if MEASURING else [],
        figures=figures,
    output:
        report(
            f"{RESULTS}/report.html",
            caption="../workflow/report/page.rst",
            category="The page",
            labels={"page": "everything on one page"},
        ),
    log:
        f"logs/{SETUP}/write_report.log",
    conda:
        CONDA
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        config=ANALYSIS_CONFIG,
    script:
        "../workflow/scripts/write_report.py"
