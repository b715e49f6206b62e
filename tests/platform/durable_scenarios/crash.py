"""Child process: one engine, eight jobs, and a plan of where to die.

    crash.py URL EXECUTOR FOLDER MODE [KEYS]

Each job's effect is a row under its key, in a database of its own; each *run* is a line
in `runs`. Modes:

- `each-instant`  fork runs of all eight jobs, each killed at the next instant of the plan,
                  until one ends by itself
- `poison`        fork runs of which job 0 kills every one that begins it
- `at-start`      fork runs killed 0 to 95 ms after their start begins
- `serve`         run until nothing is left; with KEYS, enqueue that many first
- `share`         as `serve`, once a second process is there as well
- `hold`          begin every job and never end it, until `FOLDER/go` exists
"""

import os
import random
import signal
import sqlite3
import sys
import threading
import time
from pathlib import Path

from trimtab.kernel.errors import Unavailable
from trimtab.platform.durable import Job, JobArgs
from trimtab.platform.durable_dbos import DbosEngine, DbosSettings
from trimtab.platform.durable_dbos_store import open_engine

JOBS = [f"job-{number}" for number in range(8)]
PLAN = [f"{when}:{job}" for job in JOBS for when in ("enqueued", "before", "after")]
LEASE_SECONDS = 2.0
OTHERS_LOOK = ("hold", "share")
"""Where another executor may take over what seems dead. Elsewhere the only one waits for its
own last lease at each of its starts, and how long that was is not what is looked at."""
KILLED = -signal.SIGKILL


class Scenario:
    def __init__(self, url: str, executor: str, folder: Path, mode: str):
        self.url, self.executor, self.folder, self.mode = url, executor, folder, mode
        self.dying = threading.Lock()

    def die_at(self, instant: str) -> None:
        """Once per instant, by a mark on disk; `poison` has no mark and dies every time."""
        if self.mode == "poison" and instant == "before:job-0":
            os.kill(os.getpid(), signal.SIGKILL)
        mark = self.folder / instant
        with self.dying:  # two jobs run at a time: one must not mark its instant as the other dies
            if self.mode == "each-instant" and not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)

    def act(self, args: JobArgs) -> None:
        with (self.folder / "runs").open("a") as runs:
            runs.write(f"{args.key} {self.executor}\n")
        while self.mode == "hold" and not (self.folder / "go").exists():
            time.sleep(0.01)
        if self.fenced_off(args):
            return
        ledger = sqlite3.connect(self.folder / "effects.sqlite", timeout=30, isolation_level=None)
        ledger.execute("INSERT OR IGNORE INTO effects VALUES (?, ?)", (args.key, self.executor))
        ledger.close()

    def fenced_off(self, args: JobArgs) -> bool:
        """Whether somebody has taken this job over; then nothing of it may be written."""
        if self.mode != "hold" or self.url.startswith("sqlite"):
            return False
        database = open_engine(self.url, 1)
        try:
            with database.begin() as connection:
                self.running.fence(connection)
        except Unavailable:
            with (self.folder / "refused").open("a") as refused:
                refused.write(f"{args.key} {self.executor}\n")
            return True
        finally:
            database.dispose()
        return False

    def engine(self, limit: int = 2, max_recoveries: int = 100) -> DbosEngine:
        settings = DbosSettings(
            self.url,
            self.executor,
            {"default": limit},
            max_recoveries=max_recoveries,
            lease_seconds=LEASE_SECONDS if self.mode in OTHERS_LOOK else LEASE_SECONDS / 5,
            lease_wait_seconds=60.0,  # one that was killed just now is not dead yet
        )
        engine = DbosEngine(settings, hook=self.die_at)
        for name in JOBS:
            engine.register(Job(name, self.act, max_attempts=3))
        return engine

    def once(self, keys: int, **settings: int) -> None:
        engine = self.running = self.engine(**settings)
        engine.start()
        if self.mode == "share":
            self.line_up()
        for number in range(keys):
            engine.enqueue(JOBS[number % 8], f"key:{number}", {})
        assert self.idle(engine)
        for dead in engine.failed():
            with (self.folder / "dead").open("a") as letters:
                letters.write(f"{dead.key} {dead.attempts}\n")
        assert engine.stop(5)

    def idle(self, engine: DbosEngine) -> bool:
        """Wait until nothing is left; in `hold`, past a look whose session was ended."""
        while True:
            try:
                return engine.wait_idle(300)
            except Unavailable:
                if self.mode != "hold":
                    raise

    def line_up(self) -> None:
        """Wait for the other process: one that is there first would have done most of it."""
        (self.folder / f"ready-{self.executor}").touch()
        while len(list(self.folder.glob("ready-*"))) < 2:
            time.sleep(0.01)

    def forked(self, keys: int, kill_after: float | None = None, **settings: int) -> int:
        child = os.fork()
        if child == 0:
            if kill_after is not None:
                threading.Timer(kill_after, os.kill, (os.getpid(), signal.SIGKILL)).start()
            self.once(keys, **settings)
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> int:
    url, executor, folder, mode, *rest = sys.argv[1:]
    scenario = Scenario(url, executor, Path(folder), mode)
    keys = int(rest[0]) if rest else 0
    starts = 1
    match mode:
        case "each-instant":
            while (code := scenario.forked(8)) == KILLED:
                starts += 1
        case "poison":
            while (code := scenario.forked(8, limit=1, max_recoveries=5)) == KILLED:
                starts += 1
        case "at-start":
            chance = random.Random(7)
            for _ in range(20):
                scenario.forked(8, kill_after=chance.uniform(0.0, 0.095))
            code = scenario.forked(8)
        case _:
            code = 0
            scenario.once(keys)
    sys.stdout.write(f"{starts}\n")
    sys.stdout.flush()
    return code


if __name__ == "__main__":
    sys.exit(main())
