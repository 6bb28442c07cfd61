"""How collapsed are the embedding tables of somebody else's model? Find them, measure them, say what it means."""

from paper_code.diagnose.arrays import DiagnosisError
from paper_code.diagnose.comparison import Comparison, compare
from paper_code.diagnose.measurement import diagnose
from paper_code.diagnose.measures import TableMeasures
from paper_code.diagnose.report import Report

__all__ = ["Comparison", "DiagnosisError", "Report", "TableMeasures", "compare", "diagnose"]
