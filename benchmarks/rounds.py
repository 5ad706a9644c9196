"""Rounds of measures, in which peers may fail and crm-api may not."""

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence

from benchmarks.report import PEERS, Figure
from benchmarks.sample import Sample


def log_failure(name: str, error: Exception) -> str:
    """Print the error of a peer and return the text for its cell. Raises the error of crm-api again."""
    if name not in PEERS:
        raise error
    text = f"{type(error).__name__}: {error}".splitlines()[0][:100].replace("|", "/")
    print(f"{name}: {text}", file=sys.stderr, flush=True)
    return text


async def measure_one(name: str, measure: Callable[[], Awaitable[Sample]]) -> Sample:
    """Return the sample. A peer may fail in part or completely; any failure of others is raised."""
    try:
        sample = await measure()
    except Exception as error:  # noqa: BLE001 - `log_failure` raises those of crm-api
        return Sample(error=log_failure(name, error))
    # Without any response, a busy machine was too slow for the duration of the round, and nothing was measured.
    return sample if name in PEERS or not sample.statuses else sample.require_success(name)


def cell(text: str, samples: Sequence[Sample]) -> str:
    """Return the text of a cell with the failures of the samples; only these if no request succeeded."""
    failures = "; ".join(dict.fromkeys(sample.failures for sample in samples if sample.failures))
    if not failures:
        return text
    return f"{text}; {failures}" if any(sample.seconds for sample in samples) else failures


async def measure_in_rounds(
    rounds: int, measures: Mapping[str, Callable[[], Awaitable[Sample]]]
) -> dict[str, list[Sample]]:
    """Take each measure once per round, starting with another one each time, so that drift affects all."""
    names = list(measures)
    samples: dict[str, list[Sample]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            samples[name].append(await measure_one(name, measures[name]))
    return samples


def medians(samples: Sequence[Sample]) -> Figure:
    """Return the median time of each round."""
    return Figure.of([sample.median for sample in samples], "s")


def rates(samples: Sequence[Sample]) -> Figure:
    """Return the successes per second of each round."""
    return Figure.of([sample.rate for sample in samples], "/s")
