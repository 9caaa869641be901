# The values that every rule file uses: runs and data sets of params.yaml, the number of threads.
# The hooks keep Snakemake's and DVC's notes of what is up to date in agreement (docs/workflow.md).

import os
import sys
from collections import defaultdict
from pathlib import Path

# A second checkout of the project plans with its own code, not with that of the installed one.
sys.path.insert(0, str(Path.cwd() / "src"))

from dino.core.configuration.parameters import read_parameters
from dino.orchestration.bridge import Bridge
from dino.core.errors import ConfigurationError, DinoError
from dino.core.stages import STAGES
from dino.launch.settings import read_settings
from dino.orchestration.plan import ensure_plan

# Where jobs run changes no result. It is therefore the one setting that is not in params.yaml:
# profiles hand it over as `config: [launcher=NAME]`, and the commands read it from DINO_LAUNCHER.
LAUNCHER = config.pop("launcher", os.environ.get("DINO_LAUNCHER", "local"))

# The commands of the rules are those of the environment that Snakemake runs in.
SEARCH_PATH = os.pathsep.join(
    [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
)

os.environ.update(DINO_LAUNCHER=LAUNCHER, PATH=SEARCH_PATH)

try:
    PARAMETERS = read_parameters(Path("params.yaml"))
    SUBMITTED = read_settings(Path.cwd()).submit if LAUNCHER == "slurm" else ()
    BRIDGE = Bridge(Path.cwd())
    if workflow.is_main_process:
        if config:
            raise ConfigurationError(
                "--config and --configfile reach neither DVC nor the commands; edit params.yaml, "
                "or try a value with `dvc exp run -S SECTION.KEY=VALUE`"
            )
        BRIDGE.agree()
        ensure_plan(BRIDGE, PARAMETERS, sys.argv[1:])
except DinoError as error:
    sys.exit(f"snakemake: {error}")

RUNS = [run.name for run in PARAMETERS.all_runs()]
TRAINED_ON = PARAMETERS.trained_on

# A stage uses every core, so that two stages at a time would only slow each other down. On a
# cluster most rules merely wait for their jobs; the profile limits the stages that run on this
# machine to one at a time.
ALL_CORES = workflow.cores if LAUNCHER == "local" else 1

# For each stage: 1 if it runs on this machine, 0 if it waits for a job elsewhere.
HERE = defaultdict(lambda: 1, dict.fromkeys(SUBMITTED, 0))

# The rules use `tee -i`, because Ctrl-C reaches tee as well, and the command's last lines must
# still be read.


wildcard_constraints:
    dataset="[A-Za-z0-9_]+",
    run="[A-Za-z0-9_]+-[A-Za-z0-9_]+-s[0-9]+",


onstart:
    try:
        BRIDGE.claim()
    except DinoError as error:
        sys.exit(f"snakemake: {error}")


onsuccess:
    BRIDGE.record()


onerror:
    BRIDGE.record()
