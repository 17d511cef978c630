"""Plugin files that tests write to disk: a rule, a broker, an observer and a halt action, each sound until a test breaks it."""

RULE = '''"""A rule."""

from recon_core import Rule, hookimpl


class Tiny(Rule):
    """Finds positions that are tiny."""

    type = "TINY"
    title = "Tiny"
    params = {"limit": {"type": "number", "minimum": 0, "default": 1, "description": "Units."}}
    when = "abs(broker_quantity) < $limit"
    detail = "{broker_quantity} held"


@hookimpl
def recon_register_rules():
    return [Tiny]
'''
BROKER = '''"""A broker."""

from recon_core import Broker, Feed, FeedStatus, hookimpl


class Nobody(Broker):
    """Holds nothing."""

    name = "nobody"
    options = {"path": {"type": "string", "description": "A file."}}
    required = ("path",)

    def positions(self, ask):
        return Feed.unavailable(FeedStatus.NOT_READY, "nobody answers")


@hookimpl
def recon_register_brokers():
    return [Nobody]
'''
OBSERVER = '''"""An observer."""

from recon_core import hookimpl


@hookimpl
def recon_decision_made(report):
    report["seen"].append("changed")
    raise RuntimeError("the pager\\nis down")
'''
HALT = '''"""A halt action."""

from pathlib import Path

from recon_core import Confirmation, HaltAction, hookimpl


class Switch(HaltAction):
    """Writes a file, and sees whether it is there."""

    type = "switch"
    title = "Switch"
    options = {"path": {"type": "string", "description": "A file."}}
    required = ("path",)

    def halt(self, order):
        (self.folder / self.settings["path"]).write_text(order.title)

    def confirm(self, order):
        path = self.folder / self.settings["path"]
        return Confirmation(path.exists() and path.read_text() == order.title, f"{path.name} is looked at")


@hookimpl
def recon_register_halt_actions():
    return [Switch]
'''
