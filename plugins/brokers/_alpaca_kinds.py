"""What the types of Alpaca's activities do to a position. Part of the adapter in alpaca.py.

The names are of the enum ActivityType and its sub types (docs.alpaca.markets, 2026-11), and of earlier years.
"""

from __future__ import annotations

BY_TYPE = {
    "SPLIT": "split",
    "SSP": "split",  # SSP, SSO, SC and OPXRC are names of earlier years
    "SPIN": "spin_off",
    "SSO": "spin_off",
    "MA": "merger",
    "REO": "merger",
    "NC": "symbol_change",
    "SC": "symbol_change",
    "ACATS": "transfer",
    "JNLS": "transfer",
    "FOPT": "transfer",
    "OCT": "transfer",
    "OPASN": "assignment",
    "OPEXC": "exercise",
    "OPXRC": "exercise",
    "OPEXP": "expiry",
    "ECEXP": "expiry",
    "OPTRD": "delivery",
}
BY_SUB_TYPE = {
    "FSPLIT": "split",
    "USPLIT": "split",
    "RSPLIT": "reverse_split",
    "SDIV": "stock_dividend",
    "SPIN": "spin_off",
    "CMA": "merger",
    "SMA": "merger",
    "SCMA": "merger",
    "REOS": "merger",
    "REOC": "merger",
    "REOSC": "merger",
    "VTND": "merger",  # a tender or an exchange: units go, money or other units come
    "VEXH": "merger",
    "VWRT": "exercise",
    "VRGT": "exercise",
    "SNC": "symbol_change",
    "CNC": "symbol_change",
    "SCNC": "symbol_change",
    "WRM": "removal",
}
ONLY_BY_SUB_TYPE = ("OPCA", "VOF")
CASH = (
    *("ACATC", "CSD", "CSR", "CSW", "FEE", "INT", "INTNRA", "INTTW", "JNLC", "OPCSH", "PTC", "PTR", "SWP", "TRANS", "WH"),
    *("CGD", "DIV", "DIVCGL", "DIVCGS", "DIVFEE", "DIVFT", "DIVNRA", "DIVROC", "DIVTW", "DIVTXEX"),
)
IN_KIND = {"CFEE": "fee_in_kind", "FEE": "fee_in_kind", "JNL": "transfer"}


def kind_of(type_name: str, sub_type: str, *, moves: bool, paid: bool) -> str:
    """The kind of a row of this type; ``moves``: it has a qty, ``paid``: it has money or is so much a share.

    The qty of what is paid in money is what the payment was for, and moves nothing.
    """
    sub_type = sub_type.rpartition(".")[2]  # an option's says of what: SPLIT.FSPLIT
    if type_name == "DIV" and moves and not paid:
        return "stock_dividend" if sub_type in ("", "SDIV") else "unclassified"
    if type_name in ("CFEE", "JNL"):
        return IN_KIND[type_name] if moves else "cash"
    if type_name in CASH:
        return IN_KIND.get(type_name, "unclassified") if moves and not paid else "cash"
    if type_name == "REORG":
        return "removal" if sub_type in ("", "WRM") else "unclassified"
    if type_name in ONLY_BY_SUB_TYPE:
        return BY_SUB_TYPE.get(sub_type, "unclassified")
    if type_name in BY_TYPE:
        return BY_SUB_TYPE.get(sub_type, BY_TYPE[type_name])
    return BY_SUB_TYPE.get(type_name, "unclassified")  # some listings name the sub type alone
