"""The command `python -m hubspot_emulator`: serve the HubSpot emulator on this machine."""

import argparse
import os
import signal
import sys
import threading
from functools import partial
from pathlib import Path

from hubspot_emulator.serve import AddressError, serve
from hubspot_emulator.state.journal import StateFileError


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m hubspot_emulator", description="Serve the HubSpot emulator."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8100)
    parser.add_argument("--state", type=Path, help="file that stores the records; without it they are lost")
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--search-lag", type=float, default=0.0, help="seconds until a search finds a change")
    parser.add_argument(
        "--stop-with-input",
        action="store_true",
        help="stop when standard input is closed, so when the parent process ends",
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
            announce=partial(print, flush=True),
        )
    except (AddressError, StateFileError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - output of a command
        return 1
    return 0


def _stop_with_input() -> None:
    # This thread would hold the lock of sys.stdin when Python exits for another reason, so use the descriptor.
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
