"""SerialExecutor: computes runs one by one in this process."""

from __future__ import annotations

from concurrent.futures import Future

from threadpoolctl import threadpool_limits

from crystalbench.models.model import Progress, silent
from crystalbench.runs.execute import Computed
from crystalbench.runs.executors.base import Executor
from crystalbench.runs.failures import RunFailedError
from crystalbench.runs.plan import Run
from crystalbench.runs.runner import Runner


class SerialExecutor(Executor):
    """Computes each run at once, in the thread that submits it.

    Args:
        runner: computes the runs.
    """

    slots = 1

    def __init__(self, runner: Runner) -> None:
        self.runner = runner

    def submit(self, run: Run, progress: Progress = silent) -> Future[Computed]:
        """Compute a run; the future is done."""
        future: Future[Computed] = Future()
        try:
            with threadpool_limits(self.runner.resources.threads):
                future.set_result(self.runner.run(run, progress))
        except RunFailedError as failure:
            future.set_exception(failure)
        return future

    def help(self, run: Run) -> Future[int]:
        """Do trials of a run that another process computes; the future is done."""
        future: Future[int] = Future()
        with threadpool_limits(self.runner.resources.threads):
            future.set_result(self.runner.help(run))
        return future

    def close(self, *, abandon: bool = False) -> None:
        """Do nothing: there are no processes, and no call is unfinished."""
