"""command: runs a program of yours that stops trading, and another that sees whether it has."""

from __future__ import annotations

import json
import os
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from recon_core import Confirmation, HaltAction, HaltOrder, RequestError, TransientError, hookimpl

if TYPE_CHECKING:
    import subprocess

HEARD_BYTES = 2048  # enough for a message; a program that never stops talking fills no memory
PATIENCE_SECONDS = 0.5  # from SIGTERM to SIGKILL
INHERITED = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR")


def _arguments(description: str) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "items": {"type": "string"}, "description": description}


class Command(HaltAction):
    """Runs a program with its arguments, without a shell, in the folder of recon.yaml; the order as JSON is on its stdin.

    Confirmation  the program ``confirm`` ends with 0: it looks, and changes nothing. After a resume, 0 says that trading goes on
    Environment   PATH, HOME, USER, LANG, LC_ALL, TZ, TMPDIR, RECON_CORE_EVENT (halt, resume, drill-halt, drill-resume), and each
                  of ``secrets:`` by its name; nothing else of recon-core's own
    Drill         the program ``drill`` runs in place of the others, and its 0 confirms. Without one a drill fails here
    Deadline      SIGTERM and then SIGKILL to the program and all that it started, where it does not end in time
    """

    type = "command"
    title = "Program"
    options = {
        "halt": _arguments("The program that stops trading, and its arguments."),
        "confirm": _arguments("The program that ends with 0 where the order on its stdin has come true."),
        "resume": _arguments("The program that lets trading go on; due with `resume: true`."),
        "drill": _arguments("The program that proves in a drill that the others would run, and stops nothing."),
        "timeout_seconds": {
            "type": "number",
            "minimum": 0.1,
            "maximum": 600,
            "default": 10,
            "description": "How long one program may take, in seconds, within the deadline of the action.",
        },
    }
    required = ("halt", "confirm")
    optional_secrets = ("[A-Za-z_][A-Za-z0-9_]*",)

    def halt(self, order: HaltOrder) -> None:
        """Run ``halt``."""
        self._run_or_fail("drill" if order.drill else "halt", order)

    def resume(self, order: HaltOrder) -> None:
        """Run ``resume``."""
        self._run_or_fail("drill" if order.drill else "resume", order)

    def confirm(self, order: HaltOrder) -> Confirmation:
        """Run ``confirm``; in a drill, ``drill`` once more."""
        what = "drill" if order.drill else "confirm"
        code, said = self._run(what, order)
        return Confirmation(code == 0, _ended(what, code, said))

    def _run_or_fail(self, what: str, order: HaltOrder) -> None:
        code, said = self._run(what, order)
        if code != 0:
            raise RequestError(_ended(what, code, said))

    def _run(self, what: str, order: HaltOrder) -> tuple[int, str]:
        """Run one of the programs: its exit code, and the beginning of what it printed."""
        import subprocess
        import tempfile

        arguments = self.settings.get(what)
        if not arguments:
            raise RequestError(f"options.{what} names no program, so that there is nothing to run")
        environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
        environment |= {"RECON_CORE_EVENT": order.title} | {name: self.secret(name) for name in self.given}
        # A file, not a pipe: a program that does not read its order blocks nobody.
        with tempfile.TemporaryFile() as on_stdin:
            on_stdin.write(json.dumps(order.as_json()).encode())
            on_stdin.seek(0)
            try:
                process = subprocess.Popen(  # noqa: S603  # what recon.yaml names, without a shell
                    [self._program(arguments[0]), *arguments[1:]],
                    stdin=on_stdin,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    cwd=self.folder,
                    env=environment,
                    start_new_session=True,
                )
            except (OSError, ValueError) as error:
                cause = getattr(error, "strerror", None) or str(error)
                raise RequestError(f"{what}: {arguments[0]} cannot be started: {cause}") from error
        seconds = min(float(self.settings["timeout_seconds"]), self.seconds_left())
        ears = _Ears(process)
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            _end(process)
            raise TransientError(f"{what}: {arguments[0]} did not end within {seconds:.3g} s and was killed{ears.said()}") from None
        return code, ears.said()

    def _program(self, name: str) -> str:
        """A bare name is looked up in PATH; one with a slash is a path from the folder of recon.yaml."""
        return str(Path(self.folder, name)) if "/" in name else name


class _Ears(threading.Thread):
    """Listens to a program to its end, so that it never waits for us, and keeps how it began."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        super().__init__(name="output of a halt command", daemon=True)
        assert process.stdout is not None  # noqa: S101  # it was asked for
        self._stream: IO[bytes] = process.stdout
        self._heard = b""
        self.start()

    def run(self) -> None:
        with suppress(OSError, ValueError), self._stream:
            while chunk := os.read(self._stream.fileno(), 65536):
                self._heard += chunk[: HEARD_BYTES - len(self._heard)]

    def said(self) -> str:
        """What was heard, as the end of a message; a program's own children may hold the line open, and are not waited for."""
        self.join(0.2)
        text = " ".join(self._heard.decode("utf-8", "replace").split())
        return f": {text}" if text else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program and all that it started."""
    import subprocess

    for sign in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE_SECONDS)


def _ended(what: str, code: int, said: str) -> str:
    how = f"was ended by signal {-code}" if code < 0 else f"ended with {code}"
    return f"{what} {how}{said}"


@hookimpl
def recon_register_halt_actions() -> list[type[HaltAction]]:
    """The action of this file."""
    return [Command]
