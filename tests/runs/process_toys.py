"""Toy models for tests of worker processes: they die, grow, fail and talk. They follow the toys of `helpers`."""

from __future__ import annotations

TOYS = """

import signal
import sys

from crystalbench.models.model import silent


def first(name):
    try:
        with open(os.environ[name], "x") as file:
            file.write(str(os.getpid()))
        return True
    except FileExistsError:
        return False


@dataclass
class Mortal(Shifted):
    '''The first process that fits one is killed in the fit.'''

    def fit(self, train, valid):
        super().fit(train, valid)
        if first("TOY_KILLED"):
            os.kill(os.getpid(), signal.SIGKILL)
        return self


@dataclass
class HalfSaid(Shifted):
    '''The first process that fits one is killed in the middle of an event that it sends.'''

    def fit(self, train, valid):
        super().fit(train, valid)
        if first("TOY_KILLED"):
            from multiprocessing.connection import Connection

            def send_half(connection, content):
                os.write(connection.fileno(), bytes(content)[: len(content) // 2])
                os.kill(os.getpid(), signal.SIGKILL)

            Connection._send = send_half
        self.runtime.progress(1, 2, loss=0.5)
        return self


@dataclass
class Deadly(Shifted):
    '''Kills its process.'''

    def fit(self, train, valid):
        super().fit(train, valid)
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class Odd(Shifted):
    '''Fails in ways that do not travel well between processes.'''

    how: str = "exception"

    def fit(self, train, valid):
        if self.how == "exit":
            sys.exit("enough")

        class Local(Exception):
            def __init__(self, one, two):
                super().__init__(f"{one} and {two}")

        raise Local("this", "that")


@dataclass
class Talkative(Shifted):
    '''Reports progress, logs a message, and predicts the number of threads that its libraries may use.'''

    def fit(self, train, valid):
        import logging

        super().fit(train, valid)
        for epoch in range(1, 4):
            self.runtime.progress(epoch, 3, loss=1 / epoch)
        logging.getLogger("crystalbench.toys").warning("process %d is talkative", os.getpid())
        self.value = float(os.environ["OMP_NUM_THREADS"]) + 10 * float(os.environ["CRYSTALBENCH_PROCESSES"])
        return self
"""

GROWING = """

KEPT = []


@dataclass
class Growing(Shifted):
    '''Never frees 400 MB.'''

    def fit(self, train, valid):
        super().fit(train, valid)
        KEPT.append(np.ones(50_000_000))
        time.sleep(1.2)
        return self
"""
