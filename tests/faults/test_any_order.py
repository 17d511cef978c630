"""Runs, kills, halts, lifts, acceptances and clocks that go wrong, in any order: the state is always one that the model allows."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import control_model as model
import pytest
from control_model import FIRM, HEDGE, MAIN, PRIME, Halted, Rules, Told, World
from deployment import Deployment, book_row, feed_row
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from recon_core import guard
from recon_core.errors import HaltedError
from recon_core.halting import raise_halts
from recon_core.lifting import Deployment as Lifting
from recon_core.lifting import Lift, lift
from recon_core.run import Request, run
from recon_core.schedule import Schedule
from recon_core.state import audit, breaks, history, runs, suppressions
from recon_core.state.actor import Actor
from recon_core.state.history import NAME as HISTORY
from recon_core.state.latch import Halt, read_latch
from recon_core.state.scope import Scope
from recon_core.state.sqlite import NAME as STORE
from recon_core.state.store import open_store

STEPS = 2000
"""At least so many are taken where every fault is tried."""

EXAMPLES, SAMPLE = 80, 8
SYMBOLS = {MAIN: "AAPL", HEDGE: "KO"}
QUESTIONS = [(FIRM, False), (FIRM, True), (MAIN, False), (HEDGE, False)]
TOUCHING = {"open", "os.rename", "os.remove", "os.mkdir", "os.chmod", "sqlite3.connect"}
HALTED = st.sampled_from([MAIN, HEDGE, MAIN, HEDGE, PRIME, FIRM])
LIFTED = st.sampled_from([FIRM, FIRM, MAIN, HEDGE, PRIME])
KILLED = st.sampled_from([*[None] * 12, *range(12)])
HELD = st.sampled_from([100, 100, 100, 98, 80, 60, 120, None])

done: Counter[str] = Counter()


class Control(RuleBasedStateMachine):
    """One deployment of one broker and two accounts; ``worlds`` are the states that it may be in."""

    steps_a_run = 8
    """Runs take most of the time, so that they come in every so many steps at the most."""

    def __init__(self) -> None:
        super().__init__()
        self.files = Deployment(Path(tempfile.mkdtemp(prefix="control-")))
        self.state = self.files.folder / ".state"
        self.now = datetime(2026, 3, 2, 15, tzinfo=UTC)
        self.worlds = [World()]
        self.told = Told({MAIN: 100, HEDGE: 100})
        self.acknowledged: list[str] = []
        self.runs = self.killed_runs = self.acts = self.steps = 0
        self.kept: dict[str, Any] = {}
        self.touched, self.stepped, self.news = True, False, False

    def teardown(self) -> None:
        shutil.rmtree(self.files.folder)

    @initialize(
        scope=st.sampled_from(["firm", "account"]),
        on_incomplete=st.sampled_from(["halt", "warn"]),
        due=st.booleans(),
        two_person=st.booleans(),
    )
    def deploy(self, **rules: Any) -> None:
        self.rules = Rules(**rules)
        more = f"halt: {{two_person: {str(self.rules.two_person).lower()}}}\n"
        more += 'schedule: {due: "16:30", timezone: UTC, days: Mon-Sun, grace_hours: 4}\n' if self.rules.due else ""
        self.files.config(as_of="", broker="unchanged: accept\nexpect_accounts: [MAIN, HEDGE]", more=more)
        self.files.policy(
            f"version: 1\nscope: {self.rules.scope}\non_incomplete: {self.rules.on_incomplete}\n"
            "rules: {MISSING_AT_BROKER: {}, MISSING_IN_DB: {}, QUANTITY_MISMATCH: {halt: {above_pct: 10}}}\n"
        )

    # -- what happens -----------------------------------------------------------------------------------------------------------

    @precondition(lambda self: not self.news)
    @rule(main=HELD, hedge=HELD, usable=st.sampled_from([*[True] * 7, False]))
    def the_broker_tells(self, main: int | None, hedge: int | None, usable: bool) -> None:
        self.told, self.news = Told({MAIN: main, HEDGE: hedge}, usable), True
        done["feeds"] += 1

    @precondition(lambda self: not self.stepped)
    @rule(minutes=st.sampled_from([-60, -60, 4, 20, 70, 400, 1000, 1700]))
    def the_clock_steps(self, minutes: int) -> None:
        self.now, self.stepped = self.now + timedelta(minutes=minutes), True
        done["clock steps"] += 1

    @precondition(lambda self: self.runs * self.steps_a_run < self.steps + 20)
    @rule(killed=st.sampled_from([*[None] * 40, *range(40)]))
    def a_run(self, killed: int | None) -> None:
        self.runs, self.news = self.runs + 1, False
        booked = partial(book_row, quantity=str(model.BOOKED), updated_at=self.now.isoformat())
        self.files.book([booked(symbol, account=account[1]) for account, symbol in SYMBOLS.items()])
        held = {account: quantity for account, quantity in self.told.held.items() if quantity is not None}
        self.files.feed([feed_row(SYMBOLS[account], str(quantity), account=account[1]) for account, quantity in held.items()])
        written = self.now - timedelta(days=0 if self.told.usable else 3)
        os.utime(self.files.folder / "feed.csv", (written.timestamp(), written.timestamp()))
        now = self.now

        def reconcile() -> str:
            return str(run(Request(self.files.folder / "recon.yaml"), clock=lambda: now)["run_id"])

        run_id = self.perform("runs", reconcile, killed, partial(self.modelled, model.run, self.rules, self.told, now))
        if run_id is None:
            self.killed_runs += 1
        else:
            self.acknowledged.append(run_id)

    @precondition(lambda self: all(len(world.halts) < 2 for world in self.worlds))
    @rule(scope=HALTED, reduce=st.booleans(), killed=KILLED)
    def a_person_halts(self, scope: model.Scope, reduce: bool, killed: int | None) -> None:
        now, named = self.now, Scope(*scope)

        def order() -> str:
            actor = Actor("tests", "here", "ann")
            raise_halts(self.state, [Halt(named, ("a reason",), now, now, str(actor), allow_reduce=reduce)])
            with open_store(None, self.state) as store:
                store.append("halt", actor, "halted", scopes=[str(named)], at=now)
            return "done"

        self.perform("halts", order, killed, partial(self.modelled, partial(model.raise_halt, reduce=reduce), scope, now))

    @precondition(lambda self: any(world.halts for world in self.worlds))
    @rule(scope=LIFTED, by=st.sampled_from(["ann", "ben"]), override=st.booleans(), confirm=st.booleans(), killed=KILLED)
    def a_person_lifts(self, scope: model.Scope, by: str, override: bool, confirm: bool, killed: int | None) -> None:
        confirm = confirm and self.rules.two_person
        schedule = Schedule(time(16, 30), "UTC", frozenset(range(7))) if self.rules.due else None
        deployment = Lifting(self.state, partial(open_store, None, self.state), ("prime",), schedule, self.rules.two_person)
        now, asked = self.now, Lift(Scope(*scope), "because", Actor("tests", "here", by), override, confirm)

        def order() -> str:
            try:
                lifted = lift(deployment, asked, now)
            except HaltedError:
                return "refused"
            return "asked" if lifted.awaiting else "lifted" if lifted.halts else "nothing"

        number = self.next_act()
        ways = [model.lift(world, self.rules, scope, by, now, number, override=override, confirm=confirm) for world in self.worlds]
        outcome = self.perform("lifts", order, killed, lambda: [worlds for _, worlds in ways])
        if outcome is not None:
            assert outcome in {word for word, _ in ways}, f"{outcome}, where the model says {ways}"
            self.worlds = [worlds[-1] for word, worlds in ways if word == outcome]
            done[outcome] += 1

    @precondition(lambda self: any(world.halts for world in self.worlds))
    @rule(scope=LIFTED, killed=KILLED)
    def somebody_overrides(self, scope: model.Scope, killed: int | None) -> None:
        self.a_person_lifts(scope=scope, by="ann", override=True, confirm=False, killed=killed)

    @precondition(lambda self: all(world.broken for world in self.worlds))
    @rule(which=st.integers(0, 1), days=st.integers(0, 3))
    def a_person_accepts_a_break(self, which: int, days: int) -> None:
        broken = sorted(self.worlds[0].broken)
        account, until = broken[which % len(broken)], self.now.date() + timedelta(days=days)

        def order() -> str:
            with open_store(None, self.state) as store:
                (found,) = [entry for entry in breaks.listed(store.database) if entry["account"] == account[1]]
                breaks.suppress(
                    store.database, Actor("tests", "here", "risk"), found["id"], until=until, reason="known", approved_by="risk"
                )
            return "done"

        self.perform("acceptances", order, None, lambda: [model.suppress(world, account, until) for world in self.worlds])

    # -- what must hold ---------------------------------------------------------------------------------------------------------

    @invariant()
    def what_must_hold_does(self) -> None:
        done["steps"] += 1
        self.steps += 1
        if self.touched:
            self.all_that_is_acknowledged_is_recorded_once()
        self.the_state_is_one_that_the_model_allows()
        self.touched = False

    def the_state_is_one_that_the_model_allows(self) -> None:
        found = self.seen()
        allowed = [world for world in self.worlds if self.predicted(world) == found]
        assert allowed, f"at {self.now} found\n{found}\nwhere the model allows\n" + "\n".join(
            str(self.predicted(world)) for world in self.worlds
        )
        self.worlds = [world for place, world in enumerate(allowed) if world not in allowed[:place]]

    def all_that_is_acknowledged_is_recorded_once(self) -> None:
        if not (self.state / STORE).exists():
            assert not self.acknowledged
            return
        with open_store(None, self.state) as store:
            assert list(audit.faults(store.database)) == []
            assert history.faults(store.database) == []
            stored = [entry.run_id for entry in runs.runs(store.database, limit=10_000)]
            told = [entry["after"]["run_id"] for entry in audit.records(store.database) if entry["kind"] == "run"]
        assert stored == told
        assert len(stored) == len(set(stored)) <= len(self.acknowledged) + self.killed_runs
        assert [run_id for run_id in stored if run_id in set(self.acknowledged)] == self.acknowledged
        listed = self.state / HISTORY
        kept = [entry["run_id"] for entry in json.loads(listed.read_text(encoding="utf-8"))["runs"]] if listed.exists() else []
        assert set(kept) <= set(stored)
        assert set(self.acknowledged) <= set(kept)

    # -- how it is done and seen ------------------------------------------------------------------------------------------------

    def next_act(self) -> int:
        self.acts += 1
        return self.acts

    def modelled(self, act: Callable[..., list[World]], *arguments: Any) -> list[list[World]]:
        number = self.next_act()
        return [act(world, *arguments, number) for world in self.worlds]

    def perform(self, kind: str, act: Callable[[], str], killed: int | None, ways: Callable[[], list[list[World]]]) -> str | None:
        """What the act says, None where it was killed before it said anything; the worlds are moved on accordingly."""
        self.touched, self.stepped = True, False
        outcome = act() if killed is None else said_before(act, killed, self.state)
        done[kind if outcome is not None else f"{kind} killed"] += 1
        self.worlds = [world for worlds in ways() for world in (worlds if outcome is None else worlds[-1:])]
        return outcome

    def seen(self) -> dict[str, Any]:
        latch = read_latch(self.state)
        assert latch is None or not latch.trouble
        if self.touched:
            self.kept = self.stored()
            whole = guard(self.files.folder / "recon.yaml", clock=lambda: self.now)
            assert bool(whole) is bool(guard(self.state, clock=lambda: self.now))
        return {
            "halts": tuple(sorted(map(as_modelled, latch.halts if latch else ()))),
            "permitted": [
                bool(guard(self.state, *account_of(scope), intent_of(reduce), clock=lambda: self.now))
                for scope, reduce in QUESTIONS
            ],
            **self.kept,
        }

    def stored(self) -> dict[str, Any]:
        if not (self.state / STORE).exists():
            return {"runs": 0, "broken": {}, "accepted": {}}
        with open_store(None, self.state) as store:
            return {
                "runs": store.database.execute("SELECT count(*) FROM runs")[0][0],
                "broken": {
                    ("prime", entry["account"]): int(entry["quantity_difference"]) for entry in breaks.listed(store.database)
                },
                "accepted": {
                    ("prime", entry.account): (int(entry.quantity_difference), entry.until)
                    for entry in suppressions.active(store.database)
                },
            }

    def predicted(self, world: World) -> dict[str, Any]:
        return {
            "halts": world.halts,
            "permitted": [world.permits(scope, self.now, reduce=reduce) for scope, reduce in QUESTIONS],
            "runs": world.runs,
            "broken": {account: entry.difference for account, entry in world.broken.items()},
            "accepted": {account: (entry.difference, entry.until) for account, entry in world.accepted.items()},
        }


def as_modelled(halt: Halt) -> Halted:
    scope = tuple(name for name in (halt.scope.broker, halt.scope.account) if name)
    return Halted(scope, bool(halt.run_ids), halt.raised_at, halt.last_at, halt.allow_reduce)


def account_of(scope: model.Scope) -> tuple[str | None, str | None]:
    return (scope[1], scope[0]) if scope else (None, None)


def intent_of(reduce: bool) -> Any:
    return "reduce" if reduce else "open"


def said_before(act: Callable[[], str], operations: int, state: Path) -> str | None:
    """What an act says in a process that is killed, as by kill -9, when it has touched the state so often; None for nothing."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            left = operations

            def touched(event: str, arguments: tuple[Any, ...]) -> None:
                nonlocal left
                if event in TOUCHING and str(state) in str(arguments[0]):
                    if left == 0:
                        os.kill(os.getpid(), signal.SIGKILL)
                    left -= 1

            sys.addaudithook(touched)
            os.write(writer, pickle.dumps(act()))
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(70)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in (0, -signal.SIGKILL)
    return str(pickle.loads(said)) if said else None


@pytest.mark.slow
@pytest.mark.case("I04")
def test_no_order_of_runs_kills_halts_lifts_and_clocks_breaks_what_must_hold(
    whole: bool, tell: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    done.clear()
    monkeypatch.setattr(Control, "steps_a_run", 8 if whole else 18)
    run_state_machine_as_test(
        Control,
        settings=settings(
            max_examples=EXAMPLES if whole else SAMPLE,
            stateful_step_count=50,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        ),
    )
    steps = done.pop("steps")
    tell(
        f"{steps:,} steps, every invariant held after each: "
        + ", ".join(f"{count:,} {what}" for what, count in sorted(done.items()))
    )
    assert steps >= (STEPS if whole else STEPS // 6)
