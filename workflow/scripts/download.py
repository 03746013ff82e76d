"""Fetch the missing files of one public record."""

import sys
from pathlib import Path

from cryotome.data.downloads.download import download_record
from cryotome.data.downloads.http_client import HttpClient
from cryotome.data.downloads.receipts import Cache, write_receipt
from cryotome.runtime.job import run_script


def main(
    receipt: Path, card: dict, record: str, memory: Path, data_root: Path, threads: int
) -> None:
    held = download_record(
        card, record, data_root, Cache(memory), threads=threads, web=HttpClient()
    )
    by_hand = sum(one.how == "by hand" for one in held)
    print(f"{record}: {len(held)} files in {data_root}, {by_hand} of them by hand", file=sys.stderr)
    write_receipt(held, receipt)


if __name__ == "__main__":
    run_script(main)
