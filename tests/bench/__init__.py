"""`make bench`: how fast and how exact, each figure beside a peer measured in the same run.

Times are the best of several runs, because other work on the machine only ever adds. Compare ratios: the
milliseconds are this machine's. Writes build/bench.json, a list of {"name", "value", "unit", "peer", "ratio"};
`ratio` is peer over value for times (how many times faster than the peer), value over peer for errors.
"""

from tests.bench import (  # noqa: F401 (each enters its benches in the table)
    datasets,
    evaluation,
    fitting,
    foreign,
    formats,
    labelling,
    model,
    pooling,
    pose,
    regression,
    rendering,
)
from tests.bench.registry import BENCHES, bench, faster

__all__ = ["BENCHES", "bench", "faster"]
