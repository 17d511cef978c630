"""The YAML reader: what it takes as written, and what it shows of what it refuses."""

import codecs

import pytest
from config_samples import ROOT, complaint, real_rules
from hypothesis import given, settings
from hypothesis import strategies as st

from recon_core.config.load import load_policy
from recon_core.config.problems import Place, Problems, path_text, quote
from recon_core.config.reader import MAX_BYTES, read_document
from recon_core.errors import ConfigError

DEFAULT = (ROOT / "policies.yaml").read_bytes()


def test_a_byte_order_mark_and_windows_line_ends_are_read_as_if_they_were_not_there(tmp_path):
    (tmp_path / "p.yaml").write_bytes(codecs.BOM_UTF8 + DEFAULT.replace(b"\n", b"\r\n"))
    assert list(load_policy(tmp_path / "p.yaml", real_rules()).rules) == list(
        load_policy(ROOT / "policies.yaml", real_rules()).rules
    )


def test_utf_16_is_named(tmp_path):
    said = complaint("policy-x", DEFAULT.decode().encode("utf-16"), tmp_path)
    assert said.startswith("policies.yaml:1:1: the file is UTF-16: save the file as UTF-8")


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match=r"^gone.yaml: no such file$"):
        read_document(tmp_path / "gone.yaml", "gone.yaml")
    with pytest.raises(ConfigError, match="cannot be read: it is a folder"):
        read_document(tmp_path, "folder")
    (tmp_path / "large.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="larger than 4 MiB"):
        read_document(tmp_path / "large.yaml", "large.yaml")


def test_a_problem_shows_its_line_and_a_caret_under_the_value(tmp_path):
    said = complaint("policy-x", b"version: 1\nrules:\n  QUANTITY_MISMATCH:\n    tolerance:   -50\n", tmp_path)
    assert said.split("\n") == [
        "policies.yaml:4:18: rules.QUANTITY_MISMATCH.tolerance: -50 is less than the minimum of 0",
        "        tolerance:   -50",
        "                     ^^^",
    ]


def test_all_problems_of_a_file_are_reported_at_once_in_the_order_of_its_lines(tmp_path):
    text = """\
version: 2
rules:
  QUANTITY_MISMATCH: {severity: grave, tolerance: x, severity: high}
  STALE_POSITION: {halt: {when: hours_untuched > 5}}
  UNKNOWN_THING: {}
escalation:
  a: {when: "total_impact >", then: halt}
suppress:
  - {match: {symbol: A}, until: 2099-13-01, reason: r}
"""
    said = complaint("policy-x", text.encode(), tmp_path)
    heads = [line for line in said.split("\n") if line.startswith("policies.yaml:")]
    assert [int(line.split(":")[1]) for line in heads] == [1, 3, 3, 3, 4, 5, 7, 9]


def test_a_long_or_hostile_text_is_shown_short_and_harmless(tmp_path):
    said = complaint("policy-x", f'version: 1\nscope: "{"x" * 5000}\\e[31m\u202e"\nrules: {{}}\n'.encode(), tmp_path)
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert "'" + "x" * 57 + "...'" in said


@pytest.mark.parametrize(
    ("line", "hidden"),
    [
        ("    api_key: abc", True),
        ("    secret: abc", True),
        ("    user_token: abc", True),
        ("    password: 5", True),
        ("    offset: 5", False),
        ("    secret_key: 'abc'", True),
        ("  secrets: {key: abc}", True),
        ("  secrets: {key: env:A, other: file:b}", False),
        ("    key_id: env:A", False),
        ("    tolerance: 5", False),
        ("  # a comment on tokens", False),
    ],
)
def test_a_line_that_may_hold_a_secret_is_not_shown_even_where_the_file_is_not_yaml(line, hidden):
    problems = Problems("recon.yaml", f"version: 1\n{line}\n")
    problems.add(Place(2, 1), "something")
    assert (line not in problems.texts()[0]) is hidden


def test_what_stands_below_secrets_is_not_shown():
    problems = Problems("recon.yaml", "brokers:\n  a:\n    secrets:\n      user: abc\n      key: env:A\n    options: {x: y}\n")
    for line in (4, 5, 6):
        problems.add(Place(line, 1), "something")
    shown = problems.texts()
    assert "abc" not in shown[0]
    assert "key: env:A" in shown[1]
    assert "x: y" in shown[2]


def test_the_password_of_a_database_is_never_shown(tmp_path):
    text = (
        "version: 1\nbook: {database: 'postgresql://me:pass@word@host/db', tabel: p}\n"
        "brokers: {a: {adapter: files, options: {path: x}}}\n"
    )
    said = complaint("config-x", text.encode(), tmp_path)
    assert "unknown key 'tabel'; did you mean 'table'?" in said
    assert "postgresql://me:*********@host/db" in said


def test_a_path_is_written_as_people_write_it():
    assert path_text(("overrides", 0, "rules", "MISSING_*", "halt")) == "overrides[0].rules['MISSING_*'].halt"
    assert quote("a\nb") == "'a\\u000ab'"


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_damage_to_a_policy_ends_in_anything_but_a_message(tmp_path_factory, data):
    text = DEFAULT.decode()
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 30)))
        text = text[:start] + data.draw(st.text("\t\n {}[]:,&*!|>'\"%@`#-?<0a~\\\x00\x85\u2028\ufeff", max_size=6)) + text[end:]
    path = tmp_path_factory.getbasetemp() / "damaged.yaml"
    path.write_bytes(text.encode())
    problems = []
    try:
        load_policy(path, real_rules())
    except ConfigError as error:
        problems = error.problems
    assert all(problem.startswith(f"{path}:") for problem in problems)
