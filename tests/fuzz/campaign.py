"""Fuzzes targets, each in a child process: reads lines of TARGET, FOLDER, RUNS and SEED, and answers each with an exit status.

To instrument the modules takes seconds: it is done once, as they are imported, and children inherit it. So libFuzzer sees which
branches an input takes. What it says is in ``FOLDER/said``, an input that raised beside it.
"""

import os
import re
import sys
from pathlib import Path

import atheris

HERE = Path(__file__).parent
PARSERS = ("config", "feeds", "http", "records", "recording", "strict_json", "strict_xml", "symbols", "syntax", "tables",
           "dated_files", "expressions", "written_numbers")  # fmt: skip
WORD = re.compile(rb"[A-Za-z0-9_.:+-]{2,30}")


def others() -> list[str]:
    """The modules of recon_core that take nothing apart: to see their branches costs time and tells nothing."""
    root = HERE.parents[1] / "recon_core"
    names = [".".join(path.relative_to(root.parent).with_suffix("").parts) for path in root.rglob("*.py")]
    names = [name.removesuffix(".__init__") for name in names]
    return [name for name in names if [*name.split("."), ""][1] not in PARSERS]


def fuzz(name: str, folder: Path, runs: int, seed: int) -> None:
    """Does not return: libFuzzer ends the process."""
    target = TARGETS[name]
    payloads = list(target.seeds())
    (folder / "corpus").mkdir(exist_ok=True)
    for number, payload in enumerate(payloads):
        (folder / "corpus" / f"seed-{number:03}").write_bytes(payload)
    # The words of the seeds, which are put into inputs whole.
    words = sorted({word for payload in payloads for word in WORD.findall(payload)})[:1000]
    (folder / "words").write_bytes(b"".join(b'"%s"\n' % word for word in words))
    flags = {
        "runs": runs,
        "seed": seed,
        "max_len": max(target.most_bytes, *map(len, payloads)),
        "timeout": 20,
        "rss_limit_mb": 2048,
        "dict": folder / "words",
        "artifact_prefix": f"{folder}/",
        "print_final_stats": 1,
    }
    atheris.Setup([sys.argv[0], *(f"-{flag}={value}" for flag, value in flags.items()), f"{folder}/corpus"], target.read)
    atheris.Fuzz()


sys.path[:0] = [str(HERE), str(HERE.parent)]
with atheris.instrument_imports(include=["recon_core", "recon_core_plugins"], exclude=others()):
    from targets import TARGETS

for line in sys.stdin:
    child = os.fork()
    if not child:
        name, folder, runs, seed = line.rstrip("\n").split("\t")
        said = os.open(f"{folder}/said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(said, 1)
        os.dup2(said, 2)
        os.chdir(folder)
        fuzz(name, Path(folder), int(runs), int(seed))  # as it exits, libFuzzer writes the input that raised
    sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
    sys.stdout.flush()
