"""alpaca: suspends trading of one account over the Trading API v2 (docs.alpaca.markets, read 2026-11)."""

from __future__ import annotations

import json
from typing import Any

from recon_core import AuthError, Confirmation, HaltAction, HaltOrder, MalformedError, hookimpl


class Alpaca(HaltAction):
    """Has Alpaca itself refuse new orders of one account, whatever the bot does. Open orders stay open, positions stay held.

    Sends         PATCH /v2/account/configurations, ``suspend_trade`` true (after a resume false) and nothing else
    Confirmation  GET /v2/account: ``trade_suspended_by_user``
    Drill         writes nothing: reads both addresses with the same keys
    Secrets       ``key_id`` and ``secret_key`` of an API key pair that may trade. It is the one key here that needs to
    """

    type = "alpaca"
    title = "Suspension at Alpaca"
    options = {
        "base_url": {
            "type": "string",
            "pattern": "^https?://",
            "description": "https://api.alpaca.markets, or https://paper-api.alpaca.markets for a paper account.",
        },
    }
    required = ("base_url",)
    secrets = ("key_id", "secret_key")

    async def halt(self, order: HaltOrder) -> None:
        """Suspend trading."""
        await self._suspend(order, True)

    async def resume(self, order: HaltOrder) -> None:
        """End the suspension."""
        await self._suspend(order, False)

    async def confirm(self, order: HaltOrder) -> Confirmation:
        """Whether Alpaca says that the account's owner suspended it."""
        suspended = (await self._read("/v2/account")).get("trade_suspended_by_user")
        if not isinstance(suspended, bool):
            raise MalformedError("GET /v2/account: trade_suspended_by_user is neither true nor false")
        if order.drill:
            return Confirmation(True, f"drill: nothing was written; trade_suspended_by_user is {json.dumps(suspended)}")
        return Confirmation(suspended is (order.event == "halt"), f"trade_suspended_by_user is {json.dumps(suspended)}")

    async def _suspend(self, order: HaltOrder, suspended: bool) -> None:
        if order.drill:
            await self._read("/v2/account/configurations")
            return
        try:
            await self.http.send(
                "PATCH", self._address("/v2/account/configurations"), {"suspend_trade": suspended}, headers=self._keys()
            )
        except AuthError as error:
            raise _explained(error) from error

    async def _read(self, path: str) -> dict[str, Any]:
        try:
            answer = await self.http.get_json(self._address(path), headers=self._keys())
        except AuthError as error:
            raise _explained(error) from error
        if not isinstance(answer.body, dict):
            raise MalformedError(f"GET {path}: an object is due, got {type(answer.body).__name__}")
        return answer.body

    def _address(self, path: str) -> str:
        return str(self.settings["base_url"]).rstrip("/") + path

    def _keys(self) -> dict[str, str]:
        return {"APCA-API-KEY-ID": self.secret("key_id"), "APCA-API-SECRET-KEY": self.secret("secret_key")}


def _explained(error: AuthError) -> AuthError:
    return AuthError(f"{error}; check that key_id and secret_key may trade and that base_url is theirs: paper and live keys differ")


@hookimpl
def recon_register_halt_actions() -> list[type[HaltAction]]:
    """The action of this file."""
    return [Alpaca]
