# Images: fetched, indexed, and prepared as RGB, 8 bit, with their orientation applied. By shell:, so
# that an edited script never makes an image, and what was measured with it, look new.


rule download_images:
    output:
        "results/images/{collection}/archive.zip",
    log:
        "logs/images/{collection}/download_images.log",
    retries: 2
    conda:
        CONDA
    resources:
        mem_mb=500,
        runtime=120,
    params:
        images=images_config("url", "md5"),
    shell:
        "nic-energy images download"
        " --images {params.images:q}"
        " --output {output:q}"
        " 2> {log:q} || {{ rc=$?; tail -n 20 {log:q} >&2; exit $rc; }}"


checkpoint index_images:
    input:
        lambda wildcards: image_sources(),
    output:
        index=f"results/images/{COLLECTION}/index.csv",
    log:
        f"logs/images/{COLLECTION}/index_images.log",
    conda:
        CONDA
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        images=IMAGES_CONFIG,
        archive=ARCHIVE_OPTION,
    shell:
        "nic-energy images index"
        " --images {params.images:q}"
        " {params.archive}"
        " --output {output.index:q}"
        " 2> {log:q} || {{ rc=$?; tail -n 20 {log:q} >&2; exit $rc; }}"


rule prepare_image:
    input:
        source=image_source,
        index=ancient(f"results/images/{COLLECTION}/index.csv"),
    output:
        f"results/images/{COLLECTION}/png/{{image}}.png",
    log:
        f"logs/images/{COLLECTION}/prepare_image/{{image}}.log",
    conda:
        CONDA
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        identity=image_identity,
        archive=ARCHIVE_OPTION,
        images=images_config("source", "max_megapixels"),
    shell:
        "nic-energy images prepare"
        " --images {params.images:q}"
        " {params.archive}"
        " --index {input.index:q}"
        " --image {wildcards.image:q}"
        " --output {output:q}"
        " 2> {log:q} || {{ rc=$?; tail -n 20 {log:q} >&2; exit $rc; }}"
