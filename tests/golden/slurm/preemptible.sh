#!/bin/bash

# Parameters
#SBATCH --account=lab
#SBATCH --array=0-1%2
#SBATCH --cpus-per-task=1
#SBATCH --error=/shared/runs/units/mine/jobs/%A_%a_0_log.err
#SBATCH --exclude=node7
#SBATCH --gpus-per-node=1
#SBATCH --job-name=orpo-harness
#SBATCH --mem=64GB
#SBATCH --nice=100
#SBATCH --nodes=1
#SBATCH --open-mode=append
#SBATCH --output=/shared/runs/units/mine/jobs/%A_%a_0_log.out
#SBATCH --partition=scavenge
#SBATCH --qos=low
#SBATCH --requeue
#SBATCH --signal=USR2@300
#SBATCH --time=240
#SBATCH --wckey=submitit

# setup
module load cuda/12.8

# command
export SUBMITIT_EXECUTOR=slurm
srun --unbuffered --output /shared/runs/units/mine/jobs/%A_%a_%t_log.out --error /shared/runs/units/mine/jobs/%A_%a_%t_log.err /env/bin/python -u -m submitit.core._submit /shared/runs/units/mine/jobs

#!/bin/bash

# Parameters
#SBATCH --account=lab
#SBATCH --cpus-per-task=1
#SBATCH --dependency=afterok:100_0:100_1
#SBATCH --error=/shared/runs/units/mine/jobs/%j_0_log.err
#SBATCH --exclude=node7
#SBATCH --gpus-per-node=1
#SBATCH --job-name=orpo-harness
#SBATCH --kill-on-invalid-dep=yes
#SBATCH --mem=64GB
#SBATCH --nice=100
#SBATCH --nodes=1
#SBATCH --open-mode=append
#SBATCH --output=/shared/runs/units/mine/jobs/%j_0_log.out
#SBATCH --partition=scavenge
#SBATCH --qos=low
#SBATCH --requeue
#SBATCH --signal=USR2@300
#SBATCH --time=240
#SBATCH --wckey=submitit

# setup
module load cuda/12.8

# command
export SUBMITIT_EXECUTOR=slurm
srun --unbuffered --output /shared/runs/units/mine/jobs/%j_%t_log.out --error /shared/runs/units/mine/jobs/%j_%t_log.err /env/bin/python -u -m submitit.core._submit /shared/runs/units/mine/jobs
