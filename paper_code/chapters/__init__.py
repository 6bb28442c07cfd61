"""One module per chapter of the book: its tables, figures, their words, its claims with their rules, its chart.

A chapter may import another, whose subject it is; the ledger, `claims`, imports all that have claims.
"""

ARROWS = {
    "alternatives": ("runs",),
    "appendix_b_models": ("appendix_b",),
    "consistency": ("averages", "models"),
    "fig03_chart": ("fig03_interaction_collapse",),
    "fig06_dnn_dcnv2": ("fig05_regularized",),
    "ledger_page": ("claims", "ledger_lines"),
    "measures": ("fig09_analysis", "optimizer"),
    "newer": ("fig03_interaction_collapse", "fig08_scalability"),
    "optimizer": ("fig03_interaction_collapse",),
    "reach": ("synthetic_logs",),
    "title": ("claims", "ledger_page"),
}
"""Chapter -> the chapters that it imports."""
