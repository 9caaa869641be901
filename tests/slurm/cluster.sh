#!/usr/bin/env bash
# A private SLURM on this machine for the tests: loopback only, with accounting, without systemd.
#
#   tests/slurm/cluster.sh start    # prints the line that leads SLURM's commands to it
#   tests/slurm/cluster.sh stop     # ends its jobs and daemons, removes what it made
#
# Two virtual nodes, n1 and n2, with two fake GPUs each; partition main can be preempted by
# partition urgent. `start` installs Debian's packages where they are missing (as root) and does
# nothing to a cluster that is up. Everything lies in $DINO_TEST_CLUSTER (/tmp/dino-test-cluster).
set -euo pipefail

STATE=${DINO_TEST_CLUSTER:-/tmp/dino-test-cluster}
PORT=${DINO_TEST_CLUSTER_PORT:-17817}   # slurmctld; +1 slurmdbd; +11, +12 the nodes
CPUS=4                                  # of each node; may exceed the machine's
PACKAGES="slurmctld slurmd slurm-client slurmdbd munge mariadb-server-core mariadb-client-core"
PATH=$PATH:/usr/sbin:/sbin
USER_NAME=$(id -un)
HOST=$(hostname -s)
export SLURM_CONF=$STATE/etc/slurm.conf

# ---- daemons: each is known by its process id and start time, so that a reused id is no danger

started_at() { # of a process that lives; a zombie does not
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
  set -- ${stat##*) }
  [ "$1" = Z ] || echo "${20}"
}

is_alive() { # NAME
  local pid time
  read -r pid time 2>/dev/null <"$STATE/run/$1.pid" && [ -n "$time" ] && [ "$(started_at "$pid")" = "$time" ]
}

spawn() { # NAME COMMAND...
  local name=$1 pid
  shift
  rm -f "$STATE/run/$name.daemon.pid"   # SLURM's daemons kill the process that an old file names
  setsid "$@" </dev/null >>"$STATE/log/$name.out" 2>&1 &
  pid=$!
  echo "$pid $(started_at $pid)" >"$STATE/run/$name.pid"
}

finish() { # NAME [SECONDS]
  local pid time i
  is_alive "$1" || { rm -f "$STATE/run/$1.pid"; return 0; }
  read -r pid time <"$STATE/run/$1.pid"
  kill "$pid" 2>/dev/null || true
  for ((i = 0; i < ${2:-10} * 10; i++)); do is_alive "$1" || break; sleep 0.1; done
  is_alive "$1" && kill -9 "$pid"
  rm -f "$STATE/run/$1.pid"
}

wait_for() { # WHAT COMMAND...
  local what=$1 i
  shift
  for ((i = 0; i < 300; i++)); do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done
  echo "cluster.sh: $what did not come up; see $STATE/log" >&2
  exit 1
}

# ---- start

install_packages() {
  local command missing=
  for command in slurmctld slurmd sbatch slurmdbd munged mariadbd my_print_defaults; do
    command -v $command >/dev/null || missing=1
  done
  [ -n "$missing" ] || return 0
  [ "$USER_NAME" = root ] || { echo "cluster.sh: as root: apt-get install $PACKAGES" >&2; exit 1; }
  # the packages must not start daemons of their own
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  fi
  mkdir -p "$STATE/log"
  # tests/reporting/browser.py installs chromium, perhaps now
  exec 9>/tmp/dino-tests-apt.lock
  flock 9
  apt-get update -qq >>"$STATE/log/apt.log" 2>&1 || true
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $PACKAGES \
    >>"$STATE/log/apt.log" 2>&1 || { tail -n 5 "$STATE/log/apt.log" >&2; exit 1; }
  exec 9>&-
}

configure() {
  # ids that begin at 1 again in every new cluster would meet the records of older jobs
  [ -s "$STATE/first-job-id" ] || echo $((1000 + $(date +%s) / 5 % 60000000)) >"$STATE/first-job-id"
  [ -s "$STATE/munge/key" ] || (umask 077; head -c 128 /dev/urandom >"$STATE/munge/key")
  cat >"$STATE/etc/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$HOST(127.0.0.1)
SlurmctldPort=$PORT
SlurmUser=$USER_NAME
SlurmdUser=$USER_NAME
AuthType=auth/munge
# a requeued job waits until its credential has expired: two minutes by default
AuthInfo=socket=$STATE/munge/sock,cred_expire=5
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation=$STATE/ctld
SlurmdSpoolDir=$STATE/spool/%n
SlurmctldPidFile=$STATE/run/slurmctld.daemon.pid
SlurmdPidFile=$STATE/run/slurmd.%n.daemon.pid
SlurmctldLogFile=$STATE/log/slurmctld.log
SlurmdLogFile=$STATE/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_interval=2,batch_sched_delay=0
PriorityType=priority/basic
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
# without this and a grace time, a preempted job gets no notice
SlurmctldParameters=preempt_send_user_signal
SlurmctldTimeout=10
SlurmdTimeout=6
KillWait=2
UnkillableStepTimeout=30
MinJobAge=600
FirstJobId=$(cat "$STATE/first-job-id")
InactiveLimit=0
JobRequeue=1
GresTypes=gpu
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=$((PORT + 1))
AccountingStoragePass=$STATE/munge/sock
DefMemPerCPU=500
NodeName=n[1-2] NodeHostname=$HOST NodeAddr=127.0.0.1 Port=[$((PORT + 11))-$((PORT + 12))] CPUs=$CPUS RealMemory=16000 Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES DefaultTime=10 MaxTime=INFINITE PriorityTier=1 PreemptMode=REQUEUE GraceTime=20
PartitionName=urgent Nodes=ALL DefaultTime=10 MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF
CONF
  # any two character devices pass for GPUs
  echo 'NodeName=n[1-2] Name=gpu File=/dev/null,/dev/zero' >"$STATE/etc/gres.conf"
  : >"$STATE/etc/cgroup.conf"
  (umask 077; cat >"$STATE/etc/slurmdbd.conf" <<CONF
AuthType=auth/munge
AuthInfo=socket=$STATE/munge/sock
DbdHost=$HOST
DbdAddr=127.0.0.1
DbdPort=$((PORT + 1))
CommunicationParameters=NoInAddrAny
SlurmUser=$USER_NAME
LogFile=$STATE/log/slurmdbd.log
PidFile=$STATE/run/slurmdbd.daemon.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=$USER_NAME
StorageLoc=slurm_acct_db
CONF
  )
  # inside of jobs SLURM_CONF is lost, as is every variable of that kind where a job is submitted
  if [ ! -e /etc/slurm/slurm.conf ]; then
    ln -sfn "$SLURM_CONF" /etc/slurm/slurm.conf
  elif [ "$(readlink /etc/slurm/slurm.conf)" != "$SLURM_CONF" ]; then
    echo "cluster.sh: this machine belongs to a cluster (/etc/slurm/slurm.conf); not touched" >&2
    exit 1
  fi
  # processes find each other by the first node's name
  getent hosts n2 >/dev/null || echo '127.0.0.1 n1 n2 # dino test cluster' >>/etc/hosts \
    || echo 'cluster.sh: add "127.0.0.1 n1 n2" to /etc/hosts' >&2
}

all_nodes_up() { [ "$(sinfo -h -N -p main -t idle,mix,alloc -o %N | sort -u | wc -l)" = 2 ]; }

start_node() { # NAME
  mkdir -p "$STATE/spool/$1"
  is_alive "slurmd.$1" || spawn "slurmd.$1" slurmd -D -N "$1" -f "$SLURM_CONF"
}

start() {
  install_packages
  mkdir -p "$STATE"/{etc,run,log,munge,mysql,ctld,spool}
  chmod 755 "$STATE" "$STATE"/{etc,run,log,munge,ctld,spool}
  configure
  if ! is_alive munged; then
    rm -f "$STATE"/munge/{sock,sock.lock,pid}
    spawn munged munged --foreground --force --num-threads=2 --key-file="$STATE/munge/key" \
      --socket="$STATE/munge/sock" --pid-file="$STATE/munge/pid" --seed-file="$STATE/munge/seed" \
      --log-file="$STATE/log/munged.log"
  fi
  wait_for munged munge -n -S "$STATE/munge/sock"
  [ -d "$STATE/mysql/data/mysql" ] || mariadb-install-db --no-defaults --user="$USER_NAME" \
    --datadir="$STATE/mysql/data" --auth-root-authentication-method=normal --skip-test-db \
    >"$STATE/log/mysql-install.log" 2>&1
  is_alive mariadbd || spawn mariadbd mariadbd --no-defaults --user="$USER_NAME" \
    --datadir="$STATE/mysql/data" --socket="$STATE/mysql/sock" --pid-file="$STATE/mysql/pid" \
    --skip-networking --skip-grant-tables --innodb-buffer-pool-size=64M \
    --innodb-log-file-size=16M --innodb-lock-wait-timeout=900 --innodb-flush-log-at-trx-commit=0
  wait_for mariadbd test -S "$STATE/mysql/sock"
  # slurmdbd.conf has no word for the database's socket; the library takes it from here
  is_alive slurmdbd || spawn slurmdbd env MYSQL_UNIX_PORT="$STATE/mysql/sock" slurmdbd -D
  wait_for slurmdbd timeout 5 sacctmgr -n show cluster
  sacctmgr -i -n add cluster test >/dev/null 2>&1 || true
  sacctmgr -i -n add account lab Cluster=test >/dev/null 2>&1 || true
  sacctmgr -i -n add user "$USER_NAME" Account=lab >/dev/null 2>&1 || true
  start_controller
  start_node n1
  start_node n2
  wait_for nodes all_nodes_up
  echo "export SLURM_CONF=$SLURM_CONF"
}

start_controller() { is_alive slurmctld || spawn slurmctld slurmctld -D -f "$SLURM_CONF"; }

# ---- stop

stop() {
  local i file
  if timeout 5 scontrol ping >/dev/null 2>&1; then
    timeout 10 scancel -u "$USER_NAME" || true
    for ((i = 0; i < 100; i++)); do [ -z "$(timeout 5 squeue -h 2>/dev/null)" ] && break; sleep 0.1; done
  fi
  finish slurmd.n1
  finish slurmd.n2
  finish slurmctld
  finish slurmdbd
  finish mariadbd 30
  finish munged
  if [ "$(readlink /etc/slurm/slurm.conf 2>/dev/null)" = "$SLURM_CONF" ]; then
    rm -f /etc/slurm/slurm.conf
  fi
  if grep -q '# dino test cluster$' /etc/hosts && [ -w /etc/hosts ]; then
    hosts=$(grep -v '# dino test cluster$' /etc/hosts) && printf '%s\n' "$hosts" >/etc/hosts
  fi
  rm -rf "$STATE"
}

case ${1:-} in
  start | stop) "$1" ;;
  # for tests of what happens without one of them
  start-node) start_node "$2" ;;
  kill-node) # as seen from the controller: the node's jobs live on
    read -r pid _ <"$STATE/run/slurmd.$2.pid"
    kill -9 "$pid"
    ;;
  start-controller) start_controller ;;
  stop-controller) finish slurmctld ;;
  *) echo "usage: $0 start | stop | start-node NODE | kill-node NODE | start-controller | stop-controller" >&2; exit 2 ;;
esac
