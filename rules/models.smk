# Energy over pixels, Eq. (2) and (3), its slope over complexity and other network parameters (paper,
# sections 4 and 5), which network needs less energy than which, what the paper prints beside it, how well
# all this predicts, and one model over all networks.


rule fit_energy_models:
    input:
        energy=rules.build_energy.output.energy,
    output:
        models=report(
            f"{RESULTS}/models/energy_models.csv",
            caption="../workflow/report/energy_models.rst",
            category="Tables",
            labels={"table": "energy models"},
        ),
        folds=f"{RESULTS}/models/folds.csv",
    log:
        f"logs/{SETUP}/fit_energy_models.log",
    conda:
        CONDA
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        config=ANALYSIS_CONFIG,
        folds=CAMPAIGN.document["cross_validation_folds"],
        seed=CAMPAIGN.document["seed"],
    script:
        "../workflow/scripts/fit_energy_models.py"


rule fit_complexity_models:
    input:
        models=rules.fit_energy_models.output.models,
        complexity=rules.count_macs.output.summary,
        published=PAPER[0],
    output:
        report(
            f"{RESULTS}/models/complexity_models.csv",
            caption="../workflow/report/complexity_models.rst",
            category="Tables",
            labels={"table": "complexity models"},
        ),
    log:
        f"logs/{SETUP}/fit_complexity_models.log",
    conda:
        CONDA
    resources:
        mem_mb=2000,
        runtime=10,
    script:
        "../workflow/scripts/fit_complexity_models.py"


rule rank_networks:
    input:
        energy=rules.build_energy.output.energy,
    output:
        report(
            f"{RESULTS}/models/ranking.csv",
            caption="../workflow/report/ranking.rst",
            category="Tables",
            labels={"table": "ranking"},
        ),
    log:
        f"logs/{SETUP}/rank_networks.log",
    conda:
        CONDA
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        config=ANALYSIS_CONFIG,
    script:
        "../workflow/scripts/rank_networks.py"


rule correlate_predictors:
    input:
        models=rules.fit_energy_models.output.models,
        complexity=rules.count_macs.output.summary,
    output:
        f"{RESULTS}/models/predictor_correlations.csv",
    log:
        f"logs/{SETUP}/correlate_predictors.log",
    conda:
        CONDA
    resources:
        mem_mb=2000,
        runtime=10,
    script:
        "../workflow/scripts/correlate_predictors.py"


rule compare_with_paper:
    input:
        paper=PAPER,
        energy=rules.build_energy.output.energy,
        models=rules.fit_energy_models.output.models,
        folds=rules.fit_energy_models.output.folds,
        slopes=rules.fit_complexity_models.output[0],
        complexity=rules.count_macs.output.summary,
    output:
        f"{RESULTS}/models/paper_comparison.csv",
    log:
        f"logs/{SETUP}/compare_with_paper.log",
    conda:
        CONDA
    resources:
        mem_mb=2000,
        runtime=10,
    script:
        "../workflow/scripts/compare_with_paper.py"


rule validate_energy_models:
    input:
        energy=rules.build_energy.output.energy,
    output:
        validation=report(
            f"{RESULTS}/models/validation.csv",
            caption="../workflow/report/validation.rst",
            category="Tables",
            labels={"table": "validation"},
        ),
        bootstrap=f"{RESULTS}/models/bootstrap.csv",
        residuals=f"{RESULTS}/models/residuals.csv",
    log:
        f"logs/{SETUP}/validate_energy_models.log",
    conda:
        CONDA
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        config=ANALYSIS_CONFIG,
    script:
        "../workflow/scripts/validate_energy_models.py"


rule compare_models:
    input:
        energy=rules.build_energy.output.energy,
    output:
        regressions=f"{RESULTS}/models/regression_comparison.csv",
        predictors=f"{RESULTS}/models/predictor_comparison.csv",
        sizes=f"{RESULTS}/models/size_effects.csv",
    log:
        f"logs/{SETUP}/compare_models.log",
    conda:
        CONDA
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        config=ANALYSIS_CONFIG,
    script:
        "../workflow/scripts/compare_models.py"


rule fit_joint_model:
    input:
        energy=rules.build_energy.output.energy,
        complexity=rules.count_macs.output.summary,
    output:
        model=f"{RESULTS}/models/joint_model.json",
        candidates=f"{RESULTS}/models/joint_model.csv",
    log:
        f"logs/{SETUP}/fit_joint_model.log",
    conda:
        CONDA
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        config=ANALYSIS_CONFIG,
    script:
        "../workflow/scripts/fit_joint_model.py"
