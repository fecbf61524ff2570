"""`report.html`: what a run did, on one page that needs nothing else."""

from flambeau.train.report.page import write_report

__all__ = ["write_report"]
