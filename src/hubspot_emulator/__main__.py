"""`python -m hubspot_emulator`: HubSpot on this machine, without an account and without a network."""

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

from hubspot_emulator.serve import serve
from hubspot_emulator.state.journal import StateFileError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m hubspot_emulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8100)
    parser.add_argument(
        "--state", type=Path, help="the file to keep records in; without it they are forgotten"
    )
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--search-lag", type=float, default=0.0, help="seconds")
    parser.add_argument(
        "--stop-with-input",
        action="store_true",
        help="stop when standard input ends, as whoever began this has",
    )
    options = parser.parse_args()
    if options.stop_with_input:
        threading.Thread(target=_stop_with_input, daemon=True).start()
    try:
        serve(
            host=options.host,
            port=options.port,
            state=options.state,
            latency_ms=options.latency_ms,
            search_lag=options.search_lag,
        )
    except StateFileError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command line
        return 1
    return 0


def _stop_with_input() -> None:
    # Not sys.stdin: its lock would be held by this thread when Python ends for another reason.
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
