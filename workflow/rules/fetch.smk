"""
Public records become files below data_root. Nothing else in the workflow asks for these rules.

INPUT     config/downloads/{record}.yaml           which record, which files, where they go
OUTPUT    results/downloads/{record}.csv           file, bytes, checksum, checked, how, source
          results/downloads/{record}.jsonl         what was found out so far, kept over failed runs
          {data_root}/…                            the files
"""

# one record at a time, so that each sees how much of the disk the one before took
workflow.global_resources.setdefault("downloads", 1)


rule download:
    """Fetch the files of one public record that are not at hand."""
    output:
        receipt="results/downloads/{record}.csv",
    log:
        "results/logs/download/{record}.log",
    localrule: True  # compute nodes often have no network
    conda:
        "../../envs/cryotome.yaml"
    threads: 4
    resources:
        downloads=1,
    params:
        card=lambda w: json.dumps(STUDY.download(w.record), sort_keys=True),
        record="{record}",
        memory="results/downloads/{record}.jsonl",
    script:
        "../scripts/download.py"


rule downloads:
    """Fetch the public records of the study's datasets."""
    input:
        expand("results/downloads/{record}.csv", record=STUDY.downloads),
    localrule: True
    conda:
        "../../envs/cryotome.yaml"
