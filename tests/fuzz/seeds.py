"""What fuzzing begins with: recordings of brokers, and small documents of the shapes that the adapters' own tests make."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
RECORDINGS = TESTS / "cases" / "brokers"


def by_choice(payloads: Iterable[bytes], choices: int) -> Iterator[bytes]:
    """Each payload, read with each choice of options."""
    for payload in payloads:
        for choice in range(choices):
            yield bytes([48 + choice]) + payload


def recorded(name: str) -> bytes:
    """The answers of a recording in their order, or its files."""
    folder = RECORDINGS / name
    written = json.loads((folder / "recording.json").read_text())
    return b"\0".join((folder / entry["body"]).read_bytes() for entry in (*written["exchanges"], *written["documents"]))


def compact(raw: bytes) -> bytes:
    """JSON answers without their blanks and with a few rows only, so that every byte that changes matters."""

    def few(value: object) -> object:
        if isinstance(value, dict):
            return {name: few(inner) for name, inner in value.items()}
        return [few(inner) for inner in value[:3]] if isinstance(value, list) else value

    return b"\0".join(json.dumps(few(json.loads(part)), separators=(",", ":")).encode() for part in raw.split(b"\0"))


def json_documents() -> Iterator[bytes]:
    yield from (b"[]", b'{"a":[1,-2.50,1e3,true,null,"\\u00e9\\ud83d\\ude00"]}', b'{"a":1,"a":2}', b"[NaN]", b'"\\ud800"')
    yield compact(recorded("alpaca"))[:2000]


def xml_documents() -> Iterator[bytes]:
    yield b'<?xml version="1.0" encoding="UTF-8"?><a b="c">d<!-- e --><f/><![CDATA[g]]>&lt;&#65;</a>'
    yield b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'
    yield '<?xml version="1.0" encoding="UTF-16"?><a/>'.encode("utf-16")


def records() -> Iterator[bytes]:
    yield (
        b'{"a":"MSFT","b":"-12.5","c":100,"d":1e-7,"e":"2026-11-20","f":"2026-11-20T21:00:00.123456789-05:00","g":true,'
        b'"h":{"i":null},"j":[{"k":" "}],"l":"20261120"}'
    )


def numbers() -> Iterator[bytes]:
    for text in ("1,234.50", "-1.234,5", "(100)", "100-", "$5", "-€1 234,5", "1e3", "NaN", "12%", "٣", "+.5", "5.", "1'234"):
        yield from by_choice([text.encode()], 8)


def symbols() -> Iterator[bytes]:
    texts = ("BRK.B", "AAPL  241213C00250000", ".AAPL241213C250", "AAPL 13DEC24 250 C", "XXBTZUSD", "BTC-USD", "/ESZ25", "AAPL1")
    yield from (text.encode() for text in texts)


def alpaca_positions() -> Iterator[bytes]:
    from alpaca_samples import account, row

    rows = [row(), row("TSLA", "5", side="short"), row("AAPL261218C00047500", asset_class="us_option")]
    yield from by_choice([b"\0".join(json.dumps(body, separators=(",", ":")).encode() for body in (rows, account()))], 2)
    yield from by_choice([compact(recorded("alpaca")), b"[]\0" + json.dumps(account("0")).encode()], 2)


def alpaca_evidence() -> Iterator[bytes]:
    yield from by_choice([compact(recorded("alpaca/evidence"))], 2)


def as_answers(*bodies: object) -> bytes:
    return b"\0".join(json.dumps(body, separators=(",", ":")).encode() for body in bodies)


def tradier() -> Iterator[bytes]:
    from test_tradier import balances, held, row

    option = row("AAPL261218C00047500", -2.0, -300.0)
    yield b"0" + compact(recorded("tradier"))
    yield b"1" + as_answers(held(row(), row("TSLA", -5, 50), option), balances(short=-2050.0))
    yield b"1" + as_answers({"positions": "null"}, balances(long=0))


def tradier_evidence() -> Iterator[bytes]:
    from test_tradier import event, trade

    events = [
        trade("MSFT", 10, 405.5, -4055.0, commission=1.5),
        trade("AAPL261218C00047500", -1, 2.5, 250.0, trade_type="Option"),
        event("option", option_type="assignment", description="Assigned", quantity=1.0),
        event("journal", 12.5, description="Stock split", quantity=4.0),
        event("dividend", 3.25, under="adjustment", description="CASH DIVIDEND", quantity=0.0),
    ]
    yield b"1" + as_answers({"history": {"event": events}})
    yield b"1" + as_answers({"history": {"event": events[0]}})


def oanda() -> Iterator[bytes]:
    from test_oanda import held, instruments, row, side, summary

    yield b"0" + compact(recorded("oanda"))
    both = row("GBP_JPY", side("5", "1.25"), side("-7", "1.5"))
    yield b"1" + as_answers(held(row("EUR_USD", short=side("-100", "1.09843")), both), summary(2), instruments())


def oanda_evidence() -> Iterator[bytes]:
    from test_oanda import ACCOUNT, fill, other, summary

    page = f"https://api-fxtrade.oanda.com/v3/accounts/{ACCOUNT}/transactions/idrange?from=1&to=4"
    listed = [
        fill("1"),
        fill("2", units="-50"),
        other("3", "TRANSFER_FUNDS", amount="100"),
        other("4", "DAILY_FINANCING", financing="-1.5"),
    ]
    yield b"1" + as_answers(summary(1), {"count": 4, "pages": [page]}, {"transactions": listed, "lastTransactionID": "4"})


def fix() -> Iterator[bytes]:
    from test_fix import batch, none_found, posting, report

    several = report(total=2) + report("AAPL", 0, 5, total=2)
    yield from by_choice([several, recorded("fix"), none_found(), report().replace(b"\x01", b"|")], 3)
    yield from by_choice([batch(posting(), posting("IBM", 0, 20), total=2), batch(posting(more='TotRpts="1" ReqID="R"'))], 3)


def fix_fields() -> Iterator[bytes]:
    """Messages without their frame, which the target makes anew."""
    from test_fix import none_found, report

    def bare(raw: bytes) -> bytes:
        return raw.split(b"\x01", 2)[2].rpartition(b"10=")[0]

    option = ((461, "OCASPS"), (541, "20261218"), (202, "47.5"), (201, 1), (231, 100), (48, "US0378331005"), (22, 4), (423, 1))
    tickets = [(702, 2), (704, 5), (705, 1), (704, 3), (705, 0)]
    parties = [(453, 1), (448, "A-9"), (447, "D"), (452, 38), (454, 1), (455, "037833100"), (456, 1)]
    messages = [report(), report("AAPL", more=option), report(quantities=tickets, account=..., more=tuple(parties)), none_found()]
    yield from by_choice((bare(message) for message in messages), 3)
    yield from by_choice([bare(report(total=2)) + b"\0" + bare(report("AAPL", 0, 5, total=2))], 3)


def mt535() -> Iterator[bytes]:
    from test_mt535 import holding, message, safe

    yield from by_choice([recorded("mt535"), message(safe(holding())), message(active="N")], 3)
    yield from by_choice([message(safe(holding()), page="1/MORE") + b"\0" + message(page="2/LAST", totals=":19A::HOLS//USD1,")], 3)
    yield from by_choice([message(safe(holding(balance="FAMT/1000,", price=":90A::MRKT//PRCT/98,5"), account="B", active="Y"))], 3)


def semt002() -> Iterator[bytes]:
    from test_semt002 import FACE, RATE, balance, document, sub_account, totals

    yield from by_choice([recorded("semt002"), document(balance(worth="-1"), totals(page="1")), document(active="false")], 3)
    yield from by_choice([document(balance(form=FACE, price=RATE, side="SHOR"), sub_account("S", balance("US5949181045")))], 3)
    yield from by_choice([document(balance(), last="false") + b"\0" + document(page=2)], 3)


def ofx() -> Iterator[bytes]:
    from test_ofx import SECURITIES, as_xml, document, holding, security, statement

    plain = document(statement(holding(value="18725"), holding("594918104", 5, side="SHORT")), securities=SECURITIES)
    option = security("O1", "AAPL  241213C00250000", "OPT", "<SHPERCTRCT>100")
    several = document(statement(holding("O1", 2, kind="OPT")), statement(account="9", status=2000, body=False), securities=option)
    yield from by_choice([plain, as_xml(plain), several, recorded("ofx")], 3)


def ofx_evidence() -> Iterator[bytes]:
    from test_ofx import SECURITIES, document, secid, statement

    def trade(kind: str, more: str, fitid: int) -> str:
        head = f"<INVTRAN><FITID>{fitid}<DTTRADE>20261118<DTSETTLE>20261119<MEMO>words</INVTRAN>{secid('037833100')}"
        return f"<{kind}>{head}{more}</{kind}>"

    rows = [
        f"<BUYSTOCK><INVBUY>{trade('X', '', 1)[3:-4]}<UNITS>10<UNITPRICE>5<COMMISSION>1<TOTAL>-51</INVBUY><BUYTYPE>BUY</BUYSTOCK>",
        trade("SPLIT", "<OLDUNITS>10<NEWUNITS>40<NUMERATOR>4<DENOMINATOR>1<FRACCASH>0.5", 2),
        trade("TRANSFER", "<UNITS>5<TFERACTION>IN<POSTYPE>LONG", 3),
        trade("CLOSUREOPT", "<OPTACTION>ASSIGN<UNITS>1", 4),
        "<INVBANKTRAN><STMTTRN><TRNTYPE>CREDIT<DTPOSTED>20261118<TRNAMT>5<FITID>5</STMTTRN><SUBACCTFUND>CASH</INVBANKTRAN>",
    ]
    listed = f"<INVTRANLIST><DTSTART>20261101<DTEND>20261120{''.join(rows)}</INVTRANLIST>"
    yield from by_choice([document(statement(transactions=listed), securities=SECURITIES)], 3)


def flex() -> Iterator[bytes]:
    from flex_samples import open_positions, position, response, statement, tag, worth

    cash = tag("CashReport", tag("CashReportCurrency", accountId="U1", currency="USD", endingCash="5", endingSettledCash="4"))
    two = open_positions(position(), position("TSLA", "-5", "10"))
    lots = open_positions(*(position(quantity=each, levelOfDetail="LOT", openDateTime="20261119;101010") for each in ("4", "6")))
    option = position("AAPL  261218C00047500", "2", "1.5", "300", assetCategory="OPT", multiplier="100")
    bond = position("T 4 1/8", "1000", "98.5", "985", assetCategory="BOND")
    yield from by_choice([response(statement(two, worth("4050"), cash)).encode(), response(statement(lots)).encode()], 3)
    yield from by_choice([response(statement(open_positions(option, bond), worth("0", "300", bonds="985"))).encode()], 3)
    other = open_positions(position(accountId="U2"))
    yield from by_choice(
        [response(statement(open_positions())).encode() + b"\0" + response(statement(other, account="U2")).encode()], 3
    )


def flex_evidence() -> Iterator[bytes]:
    from flex_samples import corporate_action, response, statement, tag, trade, transfer

    rows = (
        tag("Trades", trade(), trade("AAPL  261218C00047500", "-1", transactionType="BookTrade", notes="A", assetCategory="OPT")),
        tag("Transfers", transfer("MSFT", "10"), transfer("USD", "0", cashTransfer="5", assetCategory="CASH")),
        tag("CorporateActions", corporate_action("NFLX", "90", "FS", "NFLX(US1) SPLIT 10 FOR 1 (NFLX, NETFLIX, US1)")),
        tag("CashTransactions", tag("CashTransaction", currency="USD", amount="5", type="Dividends", dateTime="20261120")),
    )  # fmt: skip
    yield from by_choice([response(statement(*rows)).encode()], 3)


def flex_web() -> Iterator[bytes]:
    from flex_samples import begun, open_positions, position, refused, response, statement

    answered = response(statement(open_positions(position()))).encode()
    yield b"0" + b"\0".join([begun("https://ndcdyn.interactivebrokers.com/x/GetStatement").encode(), answered])
    yield from (b"0" + refused("1012").encode(), b"0" + begun("").encode() + b"\0" + refused("1019").encode())
    begin, _, made = recorded("ibkr_flex").split(b"\0")
    yield b"0" + begin + b"\0" + made


def statements() -> Iterator[bytes]:
    from test_statement_files import FIDELITY, IBKR, SCHWAB

    yield b"0" + FIDELITY.encode()
    yield b"1" + SCHWAB.encode()
    yield b"2" + IBKR.encode()
    yield b"3" + recorded("statement")
    rows = b'[{"symbol":"A","quantity":"1.5"},{"symbol":"B","quantity":-2}]'
    yield b'4{"generated_at":"2026-11-20T21:00:00Z","count":2,"balances":%s}' % rows
    yield b'5[{"symbol":"A","quantity":1.5,"market_price":"2","updated_at":"2026-11-20T21:00:00Z"}]'
    yield b"6symbol\tquantity\tcurrency\nA\t1.234,5-\tEUR\nB\t(5)\tUSD\n"
    yield b'7symbol,quantity,day\r\n"A""B",1,20.11.26\r\nC,2,20.11.26\r\n'


def delimited_files() -> Iterator[bytes]:
    from test_statement_files import FIDELITY, IBKR, SCHWAB

    yield b'0symbol,quantity\r\n"A""B",1\r\nC,2\r\n'
    yield b"0" + FIDELITY.encode()
    yield b"1" + SCHWAB.encode()
    yield b"1as of 2026-11-20\n\nsymbol,quantity\nA,1\n\nTotal,1\ncount: 1\n"
    yield b"2a\nb\nsymbol;quantity\n'A;B';1\nend;1\n"
    yield b"3" + IBKR.encode() + b"Trades,Header\n"
    yield b"4\xef\xbb\xbfsymbol,quantity\n# note\nA,1\nSubtotal,1\n"
    yield b"5" + "symbol,quantity\nA,1\n".encode("utf-16")
    yield b"7of today\nsymbol\tquantity\nA\t1\n"
    yield b"6symbol|quantity\rA\xe9|1\r"


def json_tables() -> Iterator[bytes]:
    yield b'0[{"symbol":"A","quantity":1.50},{"symbol":"B","quantity":-2e-3,"a":{"b":null,"c.d":[true]}}]'
    yield b'1{"generated_at":"2026-11-20T21:00:00Z","count":2,"balances":[{"symbol":"\\ud83d\\ude00","quantity":1}]}'
    yield b'2{"data":{"of":"x","rows":[{"instrument":{"symbol":"A"},"quantity":"1","side":"S"}]}}'
    yield b"3" + '[{"symbol":"A","quantity":1E+40}]'.encode("utf-16")
    yield b'2{"data":{"rows":[]}}'


def dated_names() -> Iterator[bytes]:
    for form, name in ((b"%Y-%m-%d", b"2026-11-20"), (b"%d%b%y", b"20Nov26"), (b"%Y%j", b"2026324"), (b"%B %d", b"May 01")):
        yield b"0s-{date:" + form + b"}.csv\0" + name
        yield b"1s-{date:" + form + b"}.csv\0" + name


def positions() -> Iterator[bytes]:
    yield b"AAPL|12.5|MAIN|NET|equity|USD|180.25|187.25|1|US0378331005|037833100|2026-11-20T21:00:00+00:00|AAPL US"
    yield b"BTC|0.123456789012345678||LONG|crypto||1e-12|99999|0.01\nBTC|-1E+18|A|SHORT|||NaN|5|1000000"


def settings_files() -> Iterator[bytes]:
    cases = sorted((TESTS / "cases" / "config").glob("*.yaml"))
    for place in (*cases[:: max(len(cases) // 30, 1)], TESTS.parent / "recon.yaml", TESTS.parent / "policies.yaml"):
        lines = [line for line in place.read_bytes().split(b"\n") if not line.lstrip().startswith((b"#", b"policy:"))]
        yield from by_choice([b"\n".join(lines)[:3000]], 2)
    yield b"2currency,rate\nEUR,1.0832\nGBP,1.27\n"
    yield b"0a: &x [*x, {<<: *x}]\nb: !t |\n  c\n? d\n: e\n"


def expressions() -> Iterator[bytes]:
    yield b"in_book and at_broker and abs(quantity_difference) > $tolerance"
    yield b"CASE WHEN symbol LIKE 'A%' THEN price * 1.5 IS NOT NULL ELSE fx_rate BETWEEN 1 AND 2 END"


def recordings() -> Iterator[bytes]:
    for name in ("alpaca", "ofx"):
        text = (RECORDINGS / name / "recording.json").read_text()
        written = json.loads(text)
        for entry in (*written["exchanges"], *written["documents"]):
            entry["body"] = "body"
            entry.pop("sha256")
        yield json.dumps(written, separators=(",", ":")).encode()


def heads() -> Iterator[bytes]:
    date = b"Date: Fri, 20 Nov 2026 21:05:00 GMT\n"
    yield b"0200\nContent-Type: application/json; charset=utf-8\n" + date + b'\0{"a":[1.5]}'
    yield b"0200\nContent-Type: application/json\nContent-Encoding: gzip\n\0{}"
    yield b"0429\nRetry-After: 120\n" + date + b'\0{"message":"slow down"}'
    yield b"0503\nRetry-After: Fri, 20 Nov 2026 21:06:00 GMT\n" + date + b"\0"
    yield b"0302\nLocation: https://elsewhere.example/login?x=1\n\0"
    yield b"1200\nContent-Type: text/xml\nX-Request-ID: 7\n" + date + b"\0<a/>"
    yield b'0401\nContent-Type: text/plain\n\0{"error":{"message":"no"}}'
