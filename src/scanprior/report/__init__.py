"""Reports: of one demo run, and of a study from its tidy CSV."""

from scanprior.report.brief import write_report
from scanprior.report.reading import read_results
from scanprior.report.results import Results
from scanprior.report.run import Report, run_report, study_report

__all__ = ["Report", "Results", "read_results", "run_report", "study_report", "write_report"]
