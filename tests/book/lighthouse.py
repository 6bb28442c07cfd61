"""Lighthouse's scores of the built pages, served locally, with its default settings: `make lighthouse`."""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from paper_code.book.build import BOOK_FOLDER, built_book, find_browser
from paper_code.runs.profiles import project_path

LIGHTHOUSE = "lighthouse@12.8.2"
LOWEST = {"performance": 0.90, "accessibility": 0.95, "best-practices": 0.95, "seo": 0.95}
TIMES = ["first-contentful-paint", "largest-contentful-paint", "total-blocking-time"]


@contextmanager
def served(folder: Path):
    """The address at which the files of the folder are served."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as serving:
        Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


def report(url: str, options: list[str]) -> dict:
    """What Lighthouse says of the page."""
    command = ["npx", "--yes", LIGHTHOUSE, url, "--quiet", "--output=json", *options]
    command.append("--chrome-flags=--headless=new --no-sandbox")
    told = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"CHROME_PATH": find_browser()})
    if told.returncode:
        sys.exit(f"{LIGHTHOUSE} failed on {url}:\n{told.stderr[-2000:]}")
    return json.loads(told.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.book.lighthouse", description=__doc__)
    parser.add_argument("pages", nargs="*", help="names of pages (default: all)")
    parser.add_argument("--html", default=project_path("_build/html"), help="folder of the built book")
    parser.add_argument("--csv", help="file for the table")
    parser.add_argument(
        "--slowdown", help="how many times slower than this machine's the processor is to be (default: 4)"
    )
    options = parser.parse_args()
    if shutil.which("npx") is None or find_browser() is None:
        sys.exit("Lighthouse needs npx, of Node.js, and Chromium: on Debian, `apt-get install npm chromium`")
    given = [f"--throttling.cpuSlowdownMultiplier={options.slowdown}"] if options.slowdown else []
    names = options.pages or sorted(path.stem for path in BOOK_FOLDER.iterdir() if path.suffix in (".md", ".ipynb"))
    rows, low = [], []
    with served(built_book(options.html)) as address:
        for name in names:
            found = report(f"{address}/{name}.html", given)
            row = {"page": name} | {kind: found["categories"][kind]["score"] for kind in LOWEST}
            row |= {time: round(found["audits"][time]["numericValue"]) for time in TIMES}
            rows.append(row | {"benchmark index": found["environment"]["benchmarkIndex"]})
            print(*rows[-1].values(), *found["runWarnings"], flush=True)
            low += [f"{name}: {kind} {row[kind]}" for kind in LOWEST if (row[kind] or 0) < LOWEST[kind]]
    if options.csv:
        with open(options.csv, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    sys.exit("\n".join(["too low:", *low]) if low else 0)


if __name__ == "__main__":
    main()
