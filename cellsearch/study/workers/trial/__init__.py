"""The work on one trial, from its recorded state to its end.

walk             its steps, as seen by a driver: stages to train, and synchronisation points of a cohort
runner           the steps of each kind of trial
recording        the record of a trained stage, kept until the database takes it
setting_sampler  the settings of a stage
outcome_checks   checks that all outcomes are finite
"""
