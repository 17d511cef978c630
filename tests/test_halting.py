"""What a verdict does to trading: latch and permits from real verdicts, in the order of a run."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from deployment import Deployment, book_row, feed_row

from recon_core import guard
from recon_core.config.load import Configuration, load_configuration
from recon_core.engine import connect
from recon_core.errors import HaltedError
from recon_core.halting import issue_for, proven, raise_for, record_scopes
from recon_core.host import Host, load_host
from recon_core.lifting import Deployment as Lifting
from recon_core.lifting import Lift, lift
from recon_core.recall import Known
from recon_core.reconcile import Request, reconcile
from recon_core.state.actor import Actor
from recon_core.state.latch import read_latch
from recon_core.state.permit import read_permit
from recon_core.state.scope import FIRM, Scope
from recon_core.state.store import open_store
from recon_core.verdict import Verdict

MAIN, HEDGE = Scope("prime", "MAIN"), Scope("prime", "HEDGE")
ANN = Actor("tests", "here", "ann")
BY_ACCOUNT = """version: 1
scope: account
rules: {MISSING_AT_BROKER: {halt: always}, MISSING_IN_DB: {halt: always}, QUANTITY_MISMATCH: {halt: {above_pct: 10}}}
"""


class Desk:
    """A deployment, and the steps of a run that touch trading, in their order."""

    def __init__(self, folder: Path) -> None:
        self.files = Deployment(folder)
        self.files.config(as_of="")
        self.files.book([book_row("AAPL", "100"), book_row("KO", "50", account="HEDGE")])
        self.agree()
        self.count = 0

    @property
    def state(self) -> Path:
        return self.files.folder / ".state"

    def agree(self) -> None:
        self.files.feed([feed_row("AAPL", "100"), feed_row("KO", "50", account="HEDGE")])

    def verdict(self) -> tuple[Configuration[Host], Verdict]:
        configuration = load_configuration(self.files.folder / "recon.yaml", load_host)
        with connect() as connection:
            request = Request(self.files.folder / "recon.yaml")
            clock = partial(datetime.now, UTC)
            return configuration, reconcile(connection, configuration, request, clock=clock, known=Known(), output=None)

    def run(self, *, asked: bool = False) -> None:
        self.count += 1
        run_id, started = f"run-{self.count}", datetime.now(UTC)
        configuration, verdict = self.verdict()
        settings = configuration.settings
        raise_for(verdict.decision, settings, run_id=run_id, policy_sha256=verdict.policy.sha256, now=datetime.now(UTC))
        with open_store(None, self.state) as store:
            head = store.append("run", ANN, verdict.word, scopes=record_scopes(verdict, settings, asked=asked))
        issue_for(verdict, settings, run_id=run_id, started_at=started, now=datetime.now(UTC), asked=asked, head=head)

    def lift(self, scope: Scope = FIRM) -> None:
        deployment = Lifting(self.state, partial(open_store, None, self.state), ("prime",), None, False)
        lift(deployment, Lift(scope, "because", ANN), datetime.now(UTC))

    def permitted(self, scope: Scope = FIRM) -> bool:
        return bool(guard(self.files.folder / "recon.yaml", scope.account, scope.broker))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_clean_run_permits_what_it_proved(desk: Desk) -> None:
    assert not desk.permitted()
    desk.run()
    assert desk.permitted()
    permit = read_permit(desk.state)
    assert permit is not None
    assert [lease.scope for lease in permit.leases] == [HEDGE, MAIN]
    assert not read_latch(desk.state)


def test_a_halting_run_stops_what_an_earlier_one_permitted(desk: Desk) -> None:
    desk.run()
    desk.files.feed([feed_row("AAPL", "100")])
    desk.run()
    assert not desk.permitted()
    assert not desk.permitted(MAIN)
    latch = read_latch(desk.state)
    assert latch is not None
    assert [halt.scope for halt in latch.halts] == [FIRM]
    assert any("policies.yaml" in reason for reason in latch.halts[0].reasons)


def test_a_clean_run_lifts_nothing_by_itself_and_is_what_a_lift_needs(desk: Desk) -> None:
    desk.files.feed([feed_row("AAPL", "100")])
    desk.run()
    with pytest.raises(HaltedError):
        desk.lift()
    desk.agree()
    desk.run()
    assert not desk.permitted()
    desk.lift()
    assert desk.permitted()


@pytest.mark.case("I04")
def test_an_empty_feed_cannot_lift_a_halt(desk: Desk) -> None:
    default = (Path(__file__).parent.parent / "policies.yaml").read_text(encoding="utf-8")
    desk.files.policy(default.replace("on_incomplete: halt", "on_incomplete: warn"))
    desk.files.feed([feed_row("AAPL", "100"), feed_row("KO", "5", account="HEDGE")])
    desk.run()
    assert read_latch(desk.state)
    desk.files.feed([])
    desk.run()
    with pytest.raises(HaltedError, match="firm stays halted"):
        desk.lift()
    desk.files.book([])  # nor does an empty one that agrees with an empty book
    desk.run()
    with pytest.raises(HaltedError, match="firm stays halted"):
        desk.lift()
    assert read_latch(desk.state)
    assert not desk.permitted()


@pytest.mark.case("I06")
def test_a_policy_that_stops_accounts_leaves_the_others_their_permits(desk: Desk) -> None:
    desk.files.policy(BY_ACCOUNT)
    desk.files.feed([feed_row("AAPL", "100"), feed_row("KO", "5", account="HEDGE")])
    desk.run()
    assert desk.permitted(MAIN)
    assert not desk.permitted(HEDGE)
    assert not desk.permitted()
    latch = read_latch(desk.state)
    assert latch is not None
    assert [halt.scope for halt in latch.halts] == [HEDGE]
    desk.agree()
    desk.run()
    desk.lift(HEDGE)
    assert desk.permitted()


@pytest.mark.case("I06")
def test_an_account_that_the_feed_is_silent_of_gets_no_permit(desk: Desk) -> None:
    desk.files.policy(BY_ACCOUNT + "on_incomplete: warn\n")
    desk.files.feed([feed_row("AAPL", "100")])
    desk.run()
    assert desk.permitted(MAIN)
    assert not desk.permitted(HEDGE)
    assert "silence proves nothing" in guard(desk.files.folder / "recon.yaml", "HEDGE", "prime").reason
    desk.agree()
    desk.run()
    assert desk.permitted()
    desk.files.feed([feed_row("AAPL", "100")])
    desk.run()
    assert desk.permitted(HEDGE), "a verdict that is missing takes nothing away: the lease ends by itself"


def test_a_run_of_a_chosen_time_permits_nothing_and_outdates_nothing(desk: Desk) -> None:
    desk.run(asked=True)
    assert not desk.permitted()
    desk.run()
    desk.run(asked=True)
    assert desk.permitted()


def test_shadow_mode_touches_neither_latch_nor_permit(desk: Desk) -> None:
    desk.files.config(more="halt: {mode: shadow}\n")
    desk.run()
    assert not (desk.state / "permit.json").exists()
    desk.files.feed([feed_row("AAPL", "100")])
    desk.run()
    assert not (desk.state / "HALT.json").exists()
    assert "shadow" in guard(desk.files.folder / "recon.yaml").reason


def test_the_latch_lets_bots_reduce_where_the_configuration_says_so(desk: Desk) -> None:
    desk.files.config(more="halt: {allow: reduce}\n")
    desk.files.feed([feed_row("AAPL", "100")])
    desk.run()
    assert not desk.permitted()
    assert guard(desk.files.folder / "recon.yaml", intent="reduce")


def test_what_a_run_proves_is_told_by_account(desk: Desk) -> None:
    _, verdict = desk.verdict()
    assert proven(verdict) == [HEDGE, MAIN]
