"""How collapsed are the embedding tables of somebody else's model? Find them, measure them, say what it means."""

from paper_code.diagnose.measurement import TableMeasures, diagnose
from paper_code.diagnose.readers import DiagnosisError
from paper_code.diagnose.report import Report

__all__ = ["DiagnosisError", "Report", "TableMeasures", "diagnose"]
