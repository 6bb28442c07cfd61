"""How collapsed are the embedding tables of somebody else's model? Find them, measure them, say what it means."""

from paper_code.diagnose.arrays import DiagnosisError
from paper_code.diagnose.measurement import diagnose
from paper_code.diagnose.report import Report, TableMeasures

__all__ = ["DiagnosisError", "Report", "TableMeasures", "diagnose"]
