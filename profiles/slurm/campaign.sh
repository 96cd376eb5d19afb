#!/usr/bin/env bash
# A whole campaign in one allocation on one node: Snakemake, the worker and the GPU together.
#
#   sbatch profiles/slurm/campaign.sh [what `snakemake` takes]      from the project's folder
#   sbatch --job-name=pilot --time=08:00:00 profiles/slurm/campaign.sh --configfile config/pilot.yaml
#
# Submit it again as often as you like: jobs of one name run one after the other, and each goes on where the
# last one stopped. Ahead of the time limit no new modality is begun; one that does not end in time is stopped,
# kept as a failed attempt and measured by the next job.
#
# Exit codes: 0 the campaign is finished, 9 it was stopped and goes on when submitted again, else that of
# snakemake (docs/cluster.md).
#
#SBATCH --job-name=nic-energy
#SBATCH --dependency=singleton
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --gpus-per-node=1
#SBATCH --mem=16G
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@600
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=nic-energy-%x.log
# Nobody else on the node (neighbours share its power and air), and always the same node:
##SBATCH --exclusive
##SBATCH --nodelist=node01

set -uo pipefail

GRACE_S=${NIC_ENERGY_GRACE_S:-480}    # from the signal to the stop of what is being measured
KILL_S=${NIC_ENERGY_KILL_S:-60}       # from there to the end of what does not stop
FINISHED=0
STOPPED=9

cd "${SLURM_SUBMIT_DIR:?submit this with sbatch, from the project folder}" || exit 2
if ! command -v nic-energy >/dev/null && [ -f .venv/bin/activate ]; then
    . .venv/bin/activate
fi
for program in snakemake nic-energy; do
    command -v "$program" >/dev/null || {
        echo "campaign.sh: no $program on PATH and no .venv here: make setup, or activate the environment." >&2
        exit 2
    }
done

say() { echo "campaign.sh: job ${SLURM_JOB_ID}, $(date -u +%FT%TZ): $*"; }

# The worker's socket: the folder that XDG_RUNTIME_DIR names is that of the login node.
XDG_RUNTIME_DIR=$(mktemp -d "${TMPDIR:-/tmp}/nic-energy-XXXXXX") || exit 7
export XDG_RUNTIME_DIR
# A profile of the user's, which may submit jobs, stays out of it.
unset SNAKEMAKE_PROFILE

# Snakemake's lock, left by a job that was killed; that of a run which goes on is left alone.
mkdir -p logs/slurm
running=logs/slurm/running
refuse() {
    say "$*" >&2
    rm -rf "$XDG_RUNTIME_DIR"
    exit 8
}
if holder=$(cat "$running" 2>/dev/null); then
    jobs=$(squeue --noheader --user="$(id -u)" --states=running,suspended --format=%A) ||
        refuse "Slurm does not say whether job $holder still runs a campaign in this folder; submit it again."
    if [ "$holder" != "$SLURM_JOB_ID" ] && grep -qx "$holder" <<<"$jobs"; then
        refuse "job $holder runs a campaign in this folder; one at a time."
    fi
    say "job $holder was killed; its lock is removed"
    snakemake "$@" --executor local --cores 1 --unlock || true
fi
echo "$SLURM_JOB_ID" >"$running"

campaign=0
timer=0
stopped=0
woken=0

# SIGTERM, ahead of the time limit or by scancel: Snakemake begins nothing more. What is being measured has
# GRACE_S to end; then it is stopped, and its attempt kept. What hangs (in the driver) and so does not stop is
# killed: this script is to end before Slurm ends it, which would leave the worker and its files on the node.
stop() {
    woken=1
    [ "$stopped" = 1 ] && return
    stopped=1
    say "asked to stop; nothing new is begun, what is being measured has $GRACE_S s"
    [ "$campaign" = 0 ] && return
    kill -TERM "$campaign" 2>/dev/null
    set -m
    (
        sleep "$GRACE_S"
        say "$GRACE_S s are over; what is being measured is stopped"
        kill -INT -- "-$campaign" 2>/dev/null
        sleep "$KILL_S"
        say "it does not stop in $KILL_S s; killed"
        kill -KILL -- "-$campaign" 2>/dev/null
    ) &
    timer=$!
    set +m
}
trap stop TERM INT

# A process group of its own, for the interrupt of all that it runs.
say "begins on $(hostname), GPU ${CUDA_VISIBLE_DEVICES:-not set by Slurm}"
set -m
snakemake "$@" --executor local --cores "${SLURM_CPUS_PER_TASK:-1}" --resources gpu=1 &
campaign=$!
set +m
[ "$stopped" = 1 ] && kill -TERM "$campaign"

# A signal ends a wait, the campaign goes on.
while :; do
    woken=0
    wait "$campaign"
    code=$?
    [ "$woken" = 1 ] || break
done

[ "$timer" = 0 ] || kill -- "-$timer" 2>/dev/null
nic-energy worker stop >/dev/null 2>&1 || {
    hung=$(nic-energy worker status --json | sed -n 's/^ *"pid": \([0-9]*\),*$/\1/p')
    # shellcheck disable=SC2086
    [ -z "$hung" ] || { say "worker $hung does not leave; killed" && kill -KILL $hung; }
}
rm -rf "$XDG_RUNTIME_DIR"
# Snakemake that was itself killed (for want of memory) has left its lock.
[ "$code" -gt 128 ] || rm -f "$running"

if [ "$code" = 0 ]; then
    say "finished"
    exit "$FINISHED"
elif [ "$stopped" = 1 ]; then
    say "stopped; submit it again to go on"
    exit "$STOPPED"
fi
say "ended with exit code $code; what failed is named above. Submit it again to go on"
exit "$code"
