"""webhook: a signed POST to whatever trades, which then says at another address whether it stands still."""

from __future__ import annotations

import json
from typing import Any

from recon_core import Confirmation, HaltAction, HaltOrder, MalformedError, RequestError, hookimpl


class Webhook(HaltAction):
    """Tells a bot or an order gateway to stop by a signed POST, and asks it whether it has.

    Sends         the order as JSON, as ``webhook-id``, ``webhook-timestamp`` and ``webhook-signature`` of Standard Webhooks 1.0
                  sign it: HMAC-SHA256 over "id.timestamp.body". One order has one id, however often it is sent
    Confirmation  GET ``confirm_url``: a JSON object whose ``halted`` is true, after a resume false
    Drill         the event is drill-halt or drill-resume: nothing stops; the object's ``drill`` is then the id of that order
    Secrets       ``signing_key``, the receiver's: whsec_ and base64, or any text; ``token``, where both addresses want a bearer
    """

    type = "webhook"
    title = "Signed webhook"
    options = {
        "url": {"type": "string", "pattern": "^https?://", "description": "Where the order is sent; http on loopback only."},
        "confirm_url": {"type": "string", "pattern": "^https?://", "description": "Where it says whether it has halted."},
    }
    required = ("url", "confirm_url")
    secrets = ("signing_key",)
    optional_secrets = ("token",)

    async def halt(self, order: HaltOrder) -> None:
        """Send the order."""
        await self._send(order)

    async def resume(self, order: HaltOrder) -> None:
        """Send the order to resume."""
        await self._send(order)

    async def confirm(self, order: HaltOrder) -> Confirmation:
        """What the receiver says of itself."""
        answer = await self.http.get_json(self.settings["confirm_url"], headers=self._bearer())
        if not isinstance(answer.body, dict):
            raise MalformedError(f"confirm_url answers with {type(answer.body).__name__} where an object is due")
        name, due = ("drill", order.message_id) if order.drill else ("halted", order.event == "halt")
        said: Any = answer.body.get(name)
        told = f"{name} {json.dumps(said, default=str)}" if name in answer.body else f"nothing of {name}"
        return Confirmation(type(said) is type(due) and said == due, f"confirm_url says {told}")

    async def _send(self, order: HaltOrder) -> None:
        body = json.dumps(order.as_json(), sort_keys=True).encode()
        stamp = str(int(self.clock().timestamp()))
        headers = {
            **self._bearer(),
            "webhook-id": order.message_id,
            "webhook-timestamp": stamp,
            "webhook-signature": _signature(self.secret("signing_key"), f"{order.message_id}.{stamp}.".encode() + body),
        }
        await self.http.send("POST", self.settings["url"], body, headers=headers)

    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret('token')}"} if "token" in self.given else {}


def _signature(secret: str, content: bytes) -> str:
    import base64
    import hmac

    key = secret.encode()
    if secret.startswith("whsec_"):
        try:
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except ValueError:
            raise RequestError("signing_key begins with whsec_, and what follows is not base64") from None
    return "v1," + base64.b64encode(hmac.digest(key, content, "sha256")).decode()


@hookimpl
def recon_register_halt_actions() -> list[type[HaltAction]]:
    """The action of this file."""
    return [Webhook]
