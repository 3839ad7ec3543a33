"""The command line: reads arguments, formats answers, computes nothing."""
