"""A program that records steps in dvc.lock and DVC's cache, all in one go.

`dvc commit` reads and writes dvc.lock anew for every step that it is given, which takes seconds
each where there are many runs. It is a program of its own, since DVC keeps state in its process.
"""

import sys
from collections.abc import Sequence

from dvc.exceptions import DvcException
from dvc.repo import Repo, lock_repo


def commit(names: Sequence[str]) -> None:
    """Record those of the steps `names` that differ from dvc.lock in the current folder."""
    with Repo() as repo, lock_repo(repo):
        stages = [stage for stage in repo.index.stages if stage.addressing in set(names)]
        changed = [stage for stage in stages if any(stage.changed_entries())]
        if not changed:
            return
        print(f"dvc.lock: recording {len(changed)} of {len(names)} steps ...", flush=True)
        for stage in changed:
            stage.save()
            stage.commit(relink=False)
        changed[0].dvcfile.dump_stages(changed, update_pipeline=False)


if __name__ == "__main__":
    try:
        commit(sys.argv[1:])
    except DvcException as error:
        sys.exit(str(error))
