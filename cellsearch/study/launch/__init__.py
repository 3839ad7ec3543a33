"""Workers on other machines: a launcher only places agents. Workers take their trials from the database, and
a job that ends returns them; nothing is decided or recorded here.

    slurm     jobs of a Slurm cluster, through submitit; they outlive this command
    ray       tasks of a Ray cluster; they end with this command
    place     the configuration of a launcher; errors for missing packages
    job       the process around an agent, on its machine
"""
