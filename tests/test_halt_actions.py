"""Carrying out a halt: every action is tried, each is read back, none waits for another, and nothing secret is said."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
from halt_samples import NOW, ORDER, deployed, halted, resumed

from recon_core.actions.halts import ActionResult, concerns
from recon_core.config.settings import HaltActionSettings
from recon_core.halts import HaltOrder

SAMPLE = '''
"""Does what its options say, and notes each call in a file."""

import asyncio
import sys
import time

from recon_core import Confirmation, HaltAction, TransientError, hookimpl


class Sample(HaltAction):
    """Behaves as it is told to."""

    type = "sample"
    title = "Sample"
    options = {
        "halt": {"type": "string", "default": "", "description": "What halt() does."},
        "confirm": {"type": "string", "default": "Confirmation(True, 'seen')", "description": "What confirm() returns."},
    }
    optional_secrets = ("token",)

    def halt(self, order):
        self._note(order.title)
        exec(self.settings["halt"], {**globals(), "self": self})

    def resume(self, order):
        self._note(order.title)

    def confirm(self, order):
        self._note("confirm")
        return eval(self.settings["confirm"], {**globals(), "self": self, "order": order})

    def _note(self, line):
        with open(self.folder / f"{self.name}.log", "a") as log:
            log.write(line + "\\n")

    def calls(self):
        return (self.folder / f"{self.name}.log").read_text().split()


@hookimpl
def recon_register_halt_actions():
    return [Sample]
'''


def calls(folder, name="a"):
    path = folder / f"{name}.log"
    return path.read_text().split() if path.exists() else []


def one(folder, actions, **more):
    (result,) = halted(folder, actions, drop_in=SAMPLE, **more)
    return result


def test_an_action_that_halts_and_is_read_back_is_confirmed(tmp_path):
    result = one(tmp_path, "a: {action: sample}")
    assert (result.name, result.action, result.done, result.confirmed, result.detail) == ("a", "sample", True, True, "seen")
    assert 0 <= result.seconds < 30
    assert calls(tmp_path) == ["halt", "confirm"]


def test_all_actions_are_tried_even_when_one_fails_and_one_hangs(tmp_path):
    actions = """\
    refuses: {action: sample, options: {halt: "raise RuntimeError('no line')", confirm: "Confirmation(False, 'still trading')"}}
    leaves: {action: sample, options: {halt: "sys.exit(0)", confirm: "sys.exit(0)"}}
    hangs: {action: sample, deadline_seconds: 1, options: {halt: "time.sleep(60)"}}
    works: {action: sample}
    """
    started = time.monotonic()
    results = {result.name: result for result in halted(tmp_path, actions, drop_in=SAMPLE)}
    assert time.monotonic() - started < 30
    assert [(name, result.done, result.confirmed) for name, result in results.items()] == [
        ("refuses", False, False), ("leaves", False, False), ("hangs", False, False), ("works", True, True),
    ]  # fmt: skip
    assert results["refuses"].detail == "RuntimeError: no line; read back: still trading"
    assert results["leaves"].detail == "SystemExit: 0; read back: SystemExit: 0"
    assert results["hangs"].detail == "gave no answer within 1 seconds: was asked to halt"


def test_an_action_that_hangs_when_it_is_read_back_has_taken_the_order_and_is_not_confirmed(tmp_path):
    result = one(tmp_path, "a: {action: sample, deadline_seconds: 1, options: {confirm: 'time.sleep(60)'}}")
    assert (result.done, result.confirmed) == (True, False)
    assert result.detail == "gave no answer within 1 seconds: took the order"


def test_a_coroutine_that_hangs_is_ended_and_still_read_back(tmp_path):
    code = SAMPLE.replace("    def halt(self, order):", "    async def halt(self, order):").replace(
        'exec(self.settings["halt"], {**globals(), "self": self})', "await asyncio.sleep(60)"
    )
    (result,) = halted(tmp_path, "a: {action: sample, deadline_seconds: 1}", drop_in=code)
    assert (result.done, result.confirmed) == (False, True)
    assert result.detail == "TimeoutError; read back: seen"


def test_what_failed_and_is_seen_to_hold_all_the_same_is_confirmed(tmp_path):
    result = one(tmp_path, "a: {action: sample, options: {halt: 'raise OSError(\"cut off\")'}}")
    assert (result.done, result.confirmed, result.detail) == (False, True, "OSError: cut off; read back: seen")


def test_a_halt_that_takes_a_moment_is_asked_for_until_it_holds(tmp_path):
    result = one(tmp_path, """a: {action: sample, options: {confirm: "Confirmation(len(self.calls()) > 3, 'stopping')"}}""")
    assert (result.done, result.confirmed) == (True, True)
    assert calls(tmp_path) == ["halt", "confirm", "confirm", "confirm"]


def test_a_network_that_fails_once_when_it_is_read_back_is_asked_again(tmp_path):
    confirm = "Confirmation(True, 'seen') if len(self.calls()) > 2 else (_ for _ in ()).throw(TransientError('lost'))"
    result = one(tmp_path, f'a: {{action: sample, options: {{confirm: "{confirm}"}}}}')
    assert (result.confirmed, calls(tmp_path)) == (True, ["halt", "confirm", "confirm"])


def test_a_halt_that_never_comes_true_is_not_confirmed_when_time_is_up(tmp_path):
    result = one(tmp_path, "a: {action: sample, deadline_seconds: 1, options: {confirm: \"Confirmation(False, 'trading')\"}}")
    assert (result.done, result.confirmed, result.detail) == (True, False, "took the order, not confirmed: trading")
    assert result.seconds > 0.3
    assert calls(tmp_path).count("confirm") > 1


@pytest.mark.parametrize(
    ("confirm", "said"),
    [
        ("None", "confirm() returned NoneType, not a Confirmation"),
        ("True", "confirm() returned bool, not a Confirmation"),
        ("Confirmation('no', 'odd')", "odd"),
    ],
)
def test_what_is_no_confirmation_confirms_nothing(confirm, said, tmp_path):
    result = one(tmp_path, f'a: {{action: sample, deadline_seconds: 1, options: {{confirm: "{confirm}"}}}}')
    assert (result.confirmed, result.detail) == (False, f"took the order, not confirmed: {said}")


@pytest.mark.parametrize(
    "halt",
    [
        "raise RuntimeError(self.secret('token'))",
        "raise RuntimeError('key ' + self.secret('token') + ' is refused')",
        "raise RuntimeError(repr({'token': self.secret('token')}))",
        "raise RuntimeError(self.secret('token').split())",
    ],
)
def test_no_secret_that_an_action_was_told_is_in_its_result(halt, tmp_path, monkeypatch):
    monkeypatch.setenv("DESK_TOKEN", "canary 0f9a\n7b3e-secret")
    action = f'a: {{action: sample, secrets: {{token: env:DESK_TOKEN}}, options: {{halt: "{halt}"}}}}'
    result = one(tmp_path, action)
    for part in ("0f9a", "7b3e"):
        assert part not in repr(result)
    assert "***" in result.detail or "split" in halt


def test_what_an_action_says_is_one_printable_line_of_bearable_length(tmp_path):
    result = one(tmp_path, r"""a: {action: sample, options: {halt: 'raise RuntimeError("\x1b[31m\nred" + "x" * 5000)'}}""")
    assert result.detail.startswith("RuntimeError: ?[31m redxxx")
    assert result.detail.isprintable()
    assert len(result.detail) == 400


def test_an_error_that_cannot_be_printed_is_a_failure_like_any(tmp_path):
    halt = "raise type('Odd', (Exception,), {'__str__': lambda self: 1 / 0})()"
    assert one(tmp_path, f'a: {{action: sample, options: {{halt: "{halt}"}}}}').detail == "Odd: (no message); read back: seen"


def test_a_secret_that_is_gone_when_it_is_needed_fails_its_own_action_only(tmp_path, monkeypatch):
    monkeypatch.setenv("DESK_TOKEN", "canary")
    actions = """\
    a: {action: sample, secrets: {token: env:DESK_TOKEN}, options: {halt: "self.secret('token')"}}
    b: {action: sample}
    """
    settings, kinds = deployed(tmp_path, actions, drop_in=SAMPLE)
    monkeypatch.delenv("DESK_TOKEN")
    from recon_core.actions.halts import carry_out

    first, second = carry_out(settings, kinds, ORDER)
    assert (first.done, second.confirmed) == (False, True)
    assert first.detail == "environment variable DESK_TOKEN is not set; read back: seen"


def test_without_actions_nothing_is_done(tmp_path):
    assert halted(tmp_path, "{}") == ()


BROKERS = ("prime", "other")
SCOPES = ("firm", "broker prime", "broker other", "account prime/MAIN", "account prime/HEDGE", "account other/MAIN")


@pytest.mark.parametrize(
    ("brokers", "accounts", "concerned"),
    [
        ((), (), SCOPES),
        (("prime",), (), ("firm", "broker prime", "account prime/MAIN", "account prime/HEDGE")),
        ((), ("MAIN",), ("firm", "broker prime", "broker other", "account prime/MAIN", "account other/MAIN")),
        (("prime",), ("MAIN",), ("firm", "broker prime", "account prime/MAIN")),
    ],
)
@pytest.mark.case("I06")
def test_an_action_is_concerned_by_halts_of_its_brokers_and_accounts(brokers, accounts, concerned):
    action = HaltActionSettings("a", "sample", brokers, accounts)
    assert tuple(scope for scope in SCOPES if concerns(action, [scope], BROKERS)) == concerned
    assert concerns(action, SCOPES, BROKERS)
    assert not concerns(action, [], BROKERS)
    assert concerns(action, ["desk 7"], BROKERS), "what cannot be told stops everything"


def test_a_halt_stops_only_what_it_concerns(tmp_path):
    actions = "a: {action: sample, accounts: [HEDGE]}\nb: {action: sample, accounts: [MAIN]}\n"
    assert [result.name for result in halted(tmp_path, actions, drop_in=SAMPLE)] == ["b"]
    assert (calls(tmp_path, "a"), calls(tmp_path, "b")) == ([], ["halt", "confirm"])


def test_a_lift_undoes_only_what_says_so_and_is_not_halted_by_another_scope(tmp_path):
    actions = """\
    a: {action: sample}
    b: {action: sample, resume: true}
    c: {action: sample, resume: true, brokers: [prime], accounts: [MAIN]}
    """
    assert [result.name for result in resumed(tmp_path, actions, drop_in=SAMPLE)] == ["b", "c"]
    assert calls(tmp_path, "b") == ["resume", "confirm"]
    remaining = ("account prime/HEDGE",)
    assert [result.name for result in resumed(tmp_path, actions, remaining=remaining, drop_in=SAMPLE)] == ["c"]
    assert resumed(tmp_path, actions, remaining=("firm",), drop_in=SAMPLE) == ()


def test_a_drill_says_so_everywhere(tmp_path):
    drill = replace(ORDER, drill=True)
    one(tmp_path, "a: {action: sample, resume: true}", order=drill)
    resumed(tmp_path, "a: {action: sample, resume: true}", drill, drop_in=SAMPLE)
    assert calls(tmp_path) == ["drill-halt", "confirm", "drill-resume", "confirm"]
    assert (drill.message_id, drill.as_json()["event"], drill.as_json()["drill"]) == (
        "drill-halt-00ff00ff00ff00ff", "drill-halt", True,
    )  # fmt: skip


def test_an_order_reads_as_json_with_all_that_a_receiver_needs():
    assert json.loads(json.dumps(ORDER.as_json())) == {
        "version": 1,
        "id": "halt-00ff00ff00ff00ff",
        "event": "halt",
        "drill": False,
        "run_id": "20261120T210501Z-0a1b2c3d",
        "as_of": "2026-11-20T21:05:00+00:00",
        "scopes": ["account prime/MAIN"],
        "reasons": ["MISSING_AT_BROKER: 1 break halts (KO)"],
        "accounts": [{"broker": "prime", "account": "MAIN"}],
    }


def test_two_orders_never_share_an_id():
    ids = {HaltOrder(("firm",), (), NOW).order_id for _ in range(100)}
    assert len(ids) == 100


def test_a_result_is_read_only():
    with pytest.raises(AttributeError):
        ActionResult("a", "sample", True, True, "", 0.0).confirmed = False
