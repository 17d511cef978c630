"""Canary secrets: whatever an adapter, an observer or a server does with them, no output and no file of any command holds one."""

import json
import subprocess
import sys
from urllib.parse import quote

import pytest
from canaries import AWKWARD as CANARY
from canaries import LINES, written
from deployment import Deployment, book_row
from loopback import Reply, as_json, serving

from recon_core.redaction import redacted

HEADER = CANARY.replace("é", "e")  # an HTTP header holds no more than ASCII
SHORT = "c4n"

LEAKY = """
    class Leaky(Broker):
        "An adapter that is careless with its credentials."

        name = "leaky"
        secrets = ("key", "short", "pem")
        options = {"how": {"type": "string", "description": "In which way."}}

        def positions(self, ask):
            import logging, os, subprocess, sys, threading, traceback, warnings
            from urllib.parse import quote

            key, short, pem = self.secret("key"), self.secret("short"), self.secret("pem")
            every = f"key={key!r} {key} {quote(key)} {short} {pem} https://user:{quote(key, safe='')}@host/"
            how = self.settings["how"]
            if how == "raises":
                raise ValueError(every)
            if how == "raises from":
                try:
                    raise KeyError(key)
                except KeyError as error:
                    raise RuntimeError(f"no {key}") from error
            if how == "exits":
                sys.exit(every)
            if how == "prints":
                print(every)
                print(every, file=sys.stderr)
            if how == "logs":
                logging.getLogger("acme").warning("sent %s", every)
                logging.getLogger("acme").warning("sent", extra={"fields": {"headers": {"Authorization": [every, key]}}})
                try:
                    raise ValueError(every)
                except ValueError:
                    logging.getLogger("acme").exception("failed")
            if how == "warns":
                warnings.warn(every, UserWarning, stacklevel=1)
            if how == "thread":
                def fail():
                    raise ValueError(every)
                started = threading.Thread(target=fail)
                started.start()
                started.join()
            if how == "nonsense":
                return every
            if how == "malformed":
                return Feed.complete([Position(account="MAIN", symbol="AAPL", quantity=key)], as_of=self.clock())
            if how == "partial":
                return Feed.partial([], reason=every, as_of=self.clock(), notes=(every, key))
            return Feed.complete([], as_of=self.clock(), notes=(every, key))
"""
WAYS = ("raises", "raises from", "exits", "prints", "logs", "warns", "thread", "nonsense", "malformed", "partial", "notes")


def leaks(text, secret=CANARY):
    """Which of the secrets are in a text, in any of the ways that they may be written, the halves of the long one included."""
    forms = (*written(secret), secret[:9], secret[-9:], SHORT, "canary-line")
    return [form for form in forms if form in text]


def everything(deployment, done):
    """What a command printed, and every file that it left."""
    state = [path for path in (deployment.folder / ".state").rglob("*") if path.is_file()]
    return done.stdout + done.stderr + "".join(path.read_bytes().decode("utf-8", "replace") for path in state)


@pytest.fixture
def leaky(tmp_path):
    """A deployment with the careless adapter; ``how`` is chosen by ``deployment.leak(how)``."""
    deployment = Deployment(tmp_path)
    deployment.book([book_row("AAPL", "1")])
    deployment.write_drop_in("brokers", "leaky", LEAKY)
    (tmp_path / "key").write_text(CANARY + "\n", encoding="utf-8")
    (tmp_path / "pem").write_text(LINES, encoding="utf-8")

    def leak(how, broker="leaky", more=""):
        deployment.write(
            "recon.yaml",
            "version: 1\nplugins: {drop_ins: drop_ins}\nbook: {file: book.csv}\n"
            f"brokers:\n  prime:\n    adapter: {broker}\n    options: {{how: {how}}}\n"
            f"    secrets: {{key: file:key, short: env:CANARY_SHORT, pem: file:pem}}\n{more}",
        )

    deployment.leak = leak
    return deployment


@pytest.mark.parametrize("debug", ["", "1"])
@pytest.mark.parametrize("how", WAYS)
def test_what_a_careless_adapter_does_with_its_secrets_shows_none_of_them(how, debug, leaky):
    leaky.leak(how)
    arguments = ("-vv", "--json") if debug else ()
    done = leaky.run(*arguments, CANARY_SHORT=SHORT, RECON_CORE_DEBUG=debug)
    assert done.returncode in (3, 4), done.stderr
    text = everything(leaky, done)
    assert leaks(text) == []
    assert "***" in text or how == "nonsense"


def test_an_observer_that_raises_a_secret_shows_none(leaky, tmp_path):
    leaky.leak("notes")
    folder = tmp_path / "drop_ins" / "rules"
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "watcher.py").write_text(
        '"""Watches."""\nimport os\nfrom recon_core import hookimpl\n\n\n@hookimpl\ndef recon_run_started(run):\n'
        '    raise ValueError(open("key").read() + os.environ["CANARY_SHORT"])\n'
    )
    (folder / "watcher.py").chmod(0o644)
    done = leaky.run("-v", CANARY_SHORT=SHORT)
    assert "recon_run_started failed: " in done.stderr, done.stderr
    assert leaks(everything(leaky, done)) == []


ELSEWHERE = """store: env:CANARY_STORE
metrics: {pushgateway: 'http://127.0.0.1:1'}
halt: {actions: {bot: {action: leaky, secrets: {key: file:key, short: env:CANARY_SHORT}, deadline_seconds: 1}}}
"""
LEAKY_ACTION = '''"""An action of the tests."""
from recon_core import Confirmation, HaltAction, hookimpl


class LeakyAction(HaltAction):
    """An action that is careless with its credentials."""

    type = "leaky"
    title = "Careless"
    secrets = ("key", "short")

    def halt(self, order):
        print(self.secret("key"))
        raise ValueError(self.secret("key") + " " + self.secret("short"))

    def confirm(self, order):
        return Confirmation(False, repr(self.secret("key")) + f" {self.secret('short')}")


@hookimpl
def recon_register_halt_actions():
    return [LeakyAction]
'''
PERSON = ("--reason", "a test", "--by", "tester")
COMMANDS = [
    ("plugins", "list"),
    ("policy", "check"),
    ("run",),
    ("run", "--json"),
    ("run", "--broker", "gone"),
    ("run", "--output", "book.csv"),
    ("halt", "status"),
    ("halt", "raise", *PERSON),
    ("halt", "lift", "--override", *PERSON),
    ("halt", "drill", "--by", "tester"),
    ("guard",),
    ("breaks", "list"),
    ("history",),
    ("report", "20261123T000000Z-00000000"),
    ("correct", "--all-explained"),
    ("audit", "verify"),
    ("audit", "export"),
]


@pytest.mark.parametrize("store", ["file", "postgresql"])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_shows_a_secret(command, store, leaky, tmp_path):
    folder = tmp_path / "drop_ins" / "halts"
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "leaky.py").write_text(LEAKY_ACTION)
    (folder / "leaky.py").chmod(0o644)
    password = quote(CANARY, safe="")
    leaky.leak("raises", more=ELSEWHERE if store == "postgresql" else ELSEWHERE.partition("\n")[2])
    canaries = {"CANARY_SHORT": SHORT, "CANARY_STORE": f"postgresql+psycopg://user:{password}@127.0.0.1:1/base"}
    if command[0] != "run" and command[:2] != ("halt", "drill"):
        assert leaky.run(**canaries).returncode == 5
    done = leaky.command(*command, RECON_CORE_DEBUG="1", RECON_CORE_LOG_LEVEL="debug", **canaries)
    assert "internal error" not in done.stderr
    assert leaks(everything(leaky, done)) == []


@pytest.mark.parametrize(
    "reply",
    [
        Reply(f"bad key {HEADER}".encode(), 401, {"Content-Type": "text/plain"}),
        as_json({"message": f"key {HEADER} unknown"}, 403),
        as_json([{"symbol": "AAPL", "qty": f"{HEADER}"}]),
        Reply(b"", 302, {"Location": "https://elsewhere/?key=" + quote(HEADER)}),
        Reply(f"<html>{HEADER}</html>".encode(), 200, {"Content-Type": "text/html"}),
    ],
)
def test_a_server_that_echoes_the_keys_shows_none(reply, tmp_path):
    deployment = Deployment(tmp_path)
    deployment.book([book_row("AAPL", "1")])
    with serving({"/v2/account": reply, "/v2/positions": reply}) as server:
        deployment.write(
            "recon.yaml",
            "version: 1\nbook: {file: book.csv}\nbrokers:\n  prime:\n    adapter: alpaca\n"
            f"    options: {{base_url: '{server.url}'}}\n"
            "    secrets: {key_id: env:CANARY_ID, secret_key: env:CANARY_KEY}\n",
        )
        done = deployment.run("-vv", "--json", CANARY_ID=HEADER, CANARY_KEY=HEADER, RECON_CORE_DEBUG="1")
    assert leaks(everything(deployment, done), HEADER) == []


def test_the_password_of_a_pushgateway_is_refused_and_not_shown(leaky):
    leaky.leak("raises", more=f"metrics: {{pushgateway: 'http://user:{quote(CANARY, safe='')}@127.0.0.1:1/'}}\n")
    done = leaky.run("-vv", CANARY_SHORT=SHORT, RECON_CORE_DEBUG="1")
    assert done.returncode == 2
    assert leaks(everything(leaky, done)) == []


BOOKS = {  # what is wrong: the broker, and the exit code of what cannot be
    "configuration": ("{adapter: statement, surprise: 1}", 2),
    "connection": ("{adapter: statement, options: {path: feed.csv}}", 3),
}


@pytest.mark.parametrize("wrong", BOOKS)
def test_the_password_of_a_database_shows_nowhere(wrong, tmp_path):
    deployment = Deployment(tmp_path)
    broker, code = BOOKS[wrong]
    url = f"postgresql://recon:{quote(CANARY, safe='')}@127.0.0.1:1/book"
    deployment.write("recon.yaml", f"version: 1\nbook: {{database: '{url}', table: positions}}\nbrokers:\n  prime: {broker}\n")
    for arguments in ((), ("-vv",)):
        done = deployment.run(*arguments, RECON_CORE_DEBUG="1")
        assert done.returncode == code, done.stderr
        assert leaks(everything(deployment, done)) == []


def masked(secret, text):
    """``text`` as it is printed after ``secret`` was read, by a process of its own: what is secret stays so until it ends."""
    code = (
        "import json, sys\nfrom recon_core.redaction import keep_secret, redacted\n"
        "secret, text = json.load(sys.stdin)\nkeep_secret(secret)\nprint(json.dumps(redacted(text)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps([secret, text]), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("secret", "text", "shown"),
    [
        ("hunter2hunter2", "key hunter2hunter2!", "key ***!"),
        ("hunter2\n", "key hunter2!", "key ***!"),
        ("a b/c+d", "?q=a%20b%2Fc%2Bd&r=a+b%2Fc%2Bd", "?q=***&r=***"),
        ("tab\there", r"'tab\there'", "'***'"),
        ('say "x" now', r'{"a": "say \"x\" now"}', '{"a": "***"}'),
        ("ab", "ab abc cab (ab)", "*** abc cab (***)"),
        ("postgresql://u:s3cret-pw@h/b", "password s3cret-pw is wrong", "password *** is wrong"),
        ("postgresql://u:s3cret%2Fpw@h/b", "password s3cret/pw is wrong", "password *** is wrong"),
        ("unrelated", "https://me:other@host/path and https://host:8080/a@b", "https://me:***@host/path and https://host:8080/a@b"),
        ('{\n  "private": "0123456789"\n}', 'line "private": "0123456789" and {}', "line *** and {}"),
        ("", "nothing", "nothing"),
        ("x\ud800yzzzz", "x\ud800yzzzz", "***"),
    ],
)
def test_a_secret_is_masked_however_it_is_written(secret, text, shown):
    assert masked(secret, text) == shown


def test_a_stream_of_nothing_secret_is_left_alone():
    assert redacted("book 1,200 of prime/MAIN at 940.1") == "book 1,200 of prime/MAIN at 940.1"
