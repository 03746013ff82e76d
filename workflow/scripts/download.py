"""Fetch the files of a public record that are not at hand, and write down what is there."""

import sys
from pathlib import Path

from cryotome.data.downloads.download import download
from cryotome.data.downloads.http_client import Web
from cryotome.data.downloads.receipts import Memory, write_receipt
from cryotome.runtime.job import run


def main(
    receipt: Path, card: dict, record: str, memory: Path, data_root: Path, threads: int
) -> None:
    held = download(card, record, data_root, Memory(memory), threads=threads, web=Web())
    by_hand = sum(one.how == "by hand" for one in held)
    print(f"{record}: {len(held)} files in {data_root}, {by_hand} of them by hand", file=sys.stderr)
    write_receipt(held, receipt)


if __name__ == "__main__":
    run(main)
