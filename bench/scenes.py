"""What is measured: each scene makes what it needs in a folder, and gives the groups that are to take turns in it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from measure import elsewhere
from positions import AS_OF, PLANTED, Shape, write
from slow_brokers import DELAY_SECONDS, answering, write_book
from turns import Entrant, Group

BENCH = Path(__file__).parent
OTHERS = BENCH / ".venv" / "bin" / "python"
RECON = str(Path(sys.executable).with_name("recon-core"))
IMPORTS = "import duckdb, yaml, jsonschema, click"
JOINED = PLANTED[:4]
"""The types of breaks that a join of both sides can find; the age of the book's rows is no concern of the others."""

CONTESTANTS = {
    "Polars": "polars_join.py",
    "fastrecon": "fastrecon_keyed.py",
    "pandas merge": "pandas_merge.py",
    "datacompy (Polars)": "datacompy_polars.py",
}


@dataclass(frozen=True)
class Scale:
    """How much is measured: positions a side in the contest, in the other scenes, and which contestants take part."""

    sizes: Sequence[int] = (100_000, 1_000_000, 10_000_000)
    positions: int = 1_000_000
    pairs: Sequence[int] = (100, 10_000, 1_000_000)
    contestants: Sequence[str] = tuple(CONTESTANTS)


def contest(folder: Path, scale: Scale) -> Iterator[Group]:
    """recon-core and the others on the same files, each against a bare join of them."""
    for rows in scale.sizes:
        here = folder / str(rows)
        elsewhere(write, here, Shape(rows))
        others = [_contestant(name, here) for name in scale.contestants]
        yield Group(
            f"{rows:,} × {rows:,} positions", (_floor(here), _recon(here), *others), limit=1.9 if rows >= 10_000_000 else None
        )


def start_up(folder: Path, scale: Scale) -> Iterator[Group]:
    """A run on fifty positions, against the imports of the libraries that any such program needs."""
    imports = Entrant("bare imports", (sys.executable, "-c", IMPORTS), folder)
    clean, broken = folder / "clean", folder / "broken"
    elsewhere(write, clean, Shape(50, one_in=0))
    elsewhere(write, broken, Shape(50, one_in=25))
    entrants = imports, _recon(clean), _recon(broken, "recon-core, breaks of each type")
    yield Group("50 positions", entrants, limit=2.5, short=True)


def slow_brokers(folder: Path, scale: Scale) -> Iterator[Group]:
    """Brokers that take their time for each answer, asked at the same time."""
    with answering() as url:
        counted = {"one broker": 1, "20 brokers": 20}
        entrants = tuple(_recon_asking(folder / str(count), name, count, url) for name, count in counted.items())
        yield Group(f"Each answer takes {DELAY_SECONDS * 1000:.0f} ms", entrants, short=True)


def rules(folder: Path, scale: Scale) -> Iterator[Group]:
    """The default policy's five rules, and with further ones that no position breaks."""
    for pairs in scale.pairs:
        positions = folder / str(pairs)
        elsewhere(write, positions, Shape(pairs, one_in=0))
        entrants = tuple(_recon_with_rules(positions, count) for count in (5, 50, 200))
        yield Group(f"{pairs:,} pairs", entrants, short=pairs < 100_000)


def all_broken(folder: Path, scale: Scale) -> Iterator[Group]:
    """Every position with another quantity at the broker, against the same positions without a break."""
    clean, broken = folder / "clean", folder / "broken"
    elsewhere(write, clean, Shape(scale.positions, one_in=0))
    elsewhere(write, broken, Shape(scale.positions, all_differ=True))
    yield Group(_positions(scale), (_recon(clean, "no break"), _recon(broken, "every position broken")), limit=4)


def hot_account(folder: Path, scale: Scale) -> Iterator[Group]:
    """All positions in one account, against the same number over many."""
    spread, hot = folder / "spread", folder / "hot"
    elsewhere(write, spread, Shape(scale.positions))
    elsewhere(write, hot, Shape(scale.positions, accounts=1))
    yield Group(_positions(scale), (_recon(spread, "many accounts"), _recon(hot, "one account")))


def lots(folder: Path, scale: Scale) -> Iterator[Group]:
    """A book that has each position as two lots, against a bare join of its sums."""
    elsewhere(write, folder, Shape(scale.positions, lots=2))
    floor = _floor(folder, "lots")
    yield Group(_positions(scale), (floor, _recon(folder, of_book=", lots: true")))


SCENES: Mapping[str, Callable[[Path, Scale], Iterator[Group]]] = {
    "contest": contest,
    "start-up": start_up,
    "slow-brokers": slow_brokers,
    "rules": rules,
    "all-broken": all_broken,
    "hot-account": hot_account,
    "lots": lots,
}


def _positions(scale: Scale) -> str:
    return f"{scale.positions:,} × {scale.positions:,} positions"


def _floor(folder: Path, *options: str) -> Entrant:
    script = str(BENCH / "contestants" / "duckdb_join.py")
    command = (sys.executable, script, "book.parquet", "feed.parquet", *options)
    return Entrant("bare DuckDB join", command, folder, found="joined.json", types=JOINED[:3])


def _contestant(name: str, folder: Path) -> Entrant:
    script = CONTESTANTS[name]
    found = f"{script.removesuffix('.py')}.parquet"
    command = (str(OTHERS), str(BENCH / "contestants" / script), "book.parquet", "feed.parquet", found)
    return Entrant(name, command, folder, found=found, types=JOINED)


def _recon(folder: Path, name: str = "recon-core", of_book: str = "") -> Entrant:
    return _recon_in(_config(folder, _sides(of_book=of_book)), name)


def _recon_with_rules(positions: Path, count: int) -> Entrant:
    """``count`` rules: the default five, and others that compare as much and find nothing."""
    kept = "version: 1\nbase_currency: USD\nrules:\n" + "".join(f"  {name}: {{}}\n" for name in PLANTED)
    for number in range(count - len(PLANTED)):
        when = f"in_book and at_broker and abs(quantity_difference) * price > {1_000_000_000 + number}"
        kept += f"  BENCH_{number}: {{when: {json.dumps(when)}, severity: info, halt: never, detail: never}}\n"
    where = _config(positions / str(count), f"policy: policies.yaml\n{_sides(positions='../')}")
    (where / "policies.yaml").write_text(kept, encoding="utf-8")
    return _recon_in(where, f"{count} rules", found="")


def _recon_asking(folder: Path, name: str, brokers: int, url: str) -> Entrant:
    secrets = "{key_id: env:BENCH_KEY, secret_key: env:BENCH_KEY}"
    asked = f"adapter: alpaca, options: {{base_url: '{url}'}}, secrets: {secrets}"
    entries = "".join(f"  b{number}: {{{asked}}}\n" for number in range(brokers))
    _config(folder, f"book: {{file: book.parquet}}\nbrokers:\n{entries}")
    elsewhere(write_book, folder / "book.parquet", brokers)
    return _recon_in(folder, name, {"BENCH_KEY": "of-no-account"}, found="")


def _sides(positions: str = "", of_book: str = "") -> str:
    return f"""book: {{file: {positions}book.parquet{of_book}}}
brokers:
  prime:
    adapter: statement
    unchanged: accept
    options: {{path: {positions}feed.parquet, as_of: "{AS_OF.replace(" ", "T")}"}}
"""


def _config(folder: Path, entries: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recon.yaml").write_text(f"version: 1\n{entries}", encoding="utf-8")
    return folder


def _recon_in(folder: Path, name: str, environment: Mapping[str, str] | None = None, found: str = "out/breaks.parquet") -> Entrant:
    """A run of what ``folder`` configures; without ``found`` it must be clean."""
    command = (RECON, "run", "--output", "out")
    return Entrant(name, command, folder, (0, 4, 10) if found else (0,), found, PLANTED, environment or {})
