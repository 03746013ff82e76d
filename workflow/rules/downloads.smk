"""
Public records become files below data_root. No other rule asks for these.

INPUT     config/downloads/{record}.yaml           which record, which files, their folders
OUTPUT    results/downloads/{record}.csv           file, bytes, checksum, checked, how, source
          results/downloads/{record}.jsonl         verified so far, kept over failed runs
          {data_root}/…                            the files
"""

# one record at a time, so that each sees the disk space that the one before took
workflow.global_resources.setdefault("downloads", 1)


rule download:
    """Fetch the missing files of one public record."""
    output:
        receipt="results/downloads/{record}.csv",
    log:
        "results/logs/download/{record}.log",
    localrule: True  # compute nodes often have no network
    threads: 4
    resources:
        downloads=1,
    params:
        card=lambda w: json.dumps(STUDY.download(w.record), sort_keys=True),
        record="{record}",
        memory="results/downloads/{record}.jsonl",
    script:
        "../scripts/download.py"


rule download_all:
    """Fetch the public records of the study's datasets."""
    input:
        expand("results/downloads/{record}.csv", record=STUDY.downloads),
    localrule: True
