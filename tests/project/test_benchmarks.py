"""``python -m benchmarks`` compares fairly: each library does the same work, and each cell has a goal."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks import chart, compression, fairness, reached
from benchmarks.cells import CELLS, Cell
from benchmarks.clients import Target
from benchmarks.contestants import COMPILED, PURE, builds
from benchmarks.flavours import FLAVOURS, Flavour, is_importable
from benchmarks.goals import BEST, goal, outcome
from benchmarks.peers import Peer
from benchmarks.rounds import Result
from benchmarks.server import ROOT, Server, running
from polysocket import Deflate

CELL = Cell("round_trip")
PEERS = [
    (flavour, peer)
    for flavour in FLAVOURS.values()
    for peer in flavour.peers
    if flavour.is_installed and is_importable(peer.module) and not peer.is_extra
]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as running_server:
        yield running_server


def answers(flavour: Flavour, peer: Peer, targets: list[Target], n: int) -> dict[str, str | bytes]:
    """Return the last message that a library receives in each cell."""
    if flavour.run is None:
        received = {}
        for target in targets:
            with peer.open(target) as client:
                received[target.cell.name] = client.work(target.cell, n)
        return received

    async def program() -> dict[str, str | bytes]:
        received = {}
        for target in targets:
            async with peer.open(target) as client:
                received[target.cell.name] = await client.work(target.cell, n)
        return received

    last: dict[str, str | bytes] = flavour.run(program)
    return last


@pytest.mark.parametrize(
    ("flavour", "peer"), PEERS, ids=[f"{flavour.name}-{peer.name}".replace(" ", "-") for flavour, peer in PEERS]
)
def test_each_library_receives_the_same_messages(server: Server, flavour: Flavour, peer: Peer) -> None:
    cells = [cell for cell in CELLS if cell.work != "open" and (peer.compresses or not cell.deflated)]
    targets = [Target(cell, server.url(cell), server.authority) for cell in cells]
    expected = {cell.name: cell.typed(cell.answer) for cell in cells}
    assert answers(flavour, peer, targets, n=3) == expected


def test_the_command_measures_compares_and_checks(tmp_path: Path) -> None:
    figures, drawing, table = tmp_path / "figures.json", tmp_path / "ratios.svg", tmp_path / "ratios.rst"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--flavour", "blocking", "--cell", "round-trip-128b"]
    done = subprocess.run(
        [*command, "--cell", "open", "--json", str(figures), "--svg", str(drawing), "--table", str(table)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"| blocking | limit | {' | '.join(builds())} | websockets |" in done.stdout
    assert "| round-trip-128b |" in done.stdout
    first, second = json.loads(figures.read_text())["results"]
    assert (first["cell"], second["cell"]) == ("round-trip-128b", "open")
    assert first["pure"]["reference"] == "websockets"
    assert 0 < first["seconds"]["limit"] < first["seconds"][PURE]
    assert ET.parse(drawing).getroot().tag.endswith("svg")
    lines = table.read_text(encoding="utf-8").splitlines()
    for build in builds():
        assert any(line.startswith(f".. list-table:: {build}: ") for line in lines)
    assert lines.count("   * - ``open``") == lines.count("     - blocking") == len(builds())
    assert any("measured with ``python -m benchmarks --quick" in line.lower() for line in lines)


def test_each_cell_has_a_goal_in_each_flavour() -> None:
    for cell in CELLS:
        for flavour in FLAVOURS:
            assert goal(flavour, cell, COMPILED).ratio
            assert goal(flavour, cell, PURE).reference == "websockets"


def result(ours: float, *, flavour: str = "blocking") -> Result:
    first = {"limit": 0.1, PURE: ours, "websockets": 2.0, "websocket-client": 1.0}
    disturbed = {name: seconds * 100 for name, seconds in first.items()}
    return Result(flavour, CELL, [first, disturbed, first])


def test_a_ratio_compares_times_of_the_same_round_with_the_best_library() -> None:
    measured = result(1.5)
    assert goal("blocking", CELL, COMPILED).reference == BEST
    judged = outcome(measured, PURE, goal_of=COMPILED)
    assert judged is not None
    assert (judged.ratio, judged.reference, judged.is_met) == (1.5, "websocket-client", False)
    assert outcome(measured, PURE, goal_of=PURE) == (0.75, "websockets", 1.0)


def test_a_library_that_is_not_installed_is_not_judged_by() -> None:
    assert outcome(result(1.5, flavour="asyncio"), PURE, goal_of=COMPILED) is None


def test_a_ratio_that_was_reached_is_found_when_it_is_lost(tmp_path: Path) -> None:
    file = tmp_path / "reached.json"
    assert reached.lost([result(1.5)], file) == []
    reached.record([result(1.5)], file)
    assert reached.lost([result(1.5 * reached.TOLERANCE)], file) == []
    (lost,) = reached.lost([result(1.6 * reached.TOLERANCE)], file)
    assert lost == "blocking, round-trip-128b, polysocket pure: 1.00 of the reference, after 0.75"


def test_reached_ratios_are_of_known_cells() -> None:
    recorded = json.loads(reached.FILE.read_text())
    assert set(recorded) <= set(FLAVOURS)
    for by_build in recorded.values():
        assert set(by_build) <= {COMPILED, PURE}
        for cells in by_build.values():
            assert set(cells) <= {cell.name for cell in CELLS}


def test_lines_are_drawn_as_svg() -> None:
    drawing = chart.lines([chart.Panel("Growth <of> costs", "x", "y", {"polysocket": [(1, 2.0), (10, 3.0)]})])
    assert ET.fromstring(drawing).tag.endswith("svg")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("flood", [*fairness.FLOODS, *fairness.OPENINGS])
def test_a_flood_leaves_other_tasks_their_turns(monkeypatch: pytest.MonkeyPatch, flood: str) -> None:
    monkeypatch.setattr(fairness, "SECONDS", 0.1)
    state = fairness.RECEIVED if flood in fairness.FLOODS else fairness.OPENED
    with fairness.flooding(flood) as url:
        wait = fairness.LOOPS["asyncio"](url, fairness.options_of(flood), state)
    assert wait < 40 * fairness.PROMISE  # "python -m benchmarks.fairness --check" looks closely


def test_the_default_compressor_takes_a_quarter_of_the_memory_of_zlibs_defaults_at_most() -> None:
    default = compression.allocated(Deflate().window_bits, Deflate().memory_level)
    assert default < compression.allocated(15, 8) / 4


def test_a_larger_window_compresses_more() -> None:
    messages = compression.traffic()["English sentences"]
    small, large = (compression.measured(messages, bits, 5, 6)[0] for bits in (9, 15))
    assert large < small < 1
