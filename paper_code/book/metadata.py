"""Descriptions of the companion for machines: Croissant of the runs and the logs, CodeMeta of the code."""

import hashlib
from pathlib import Path

import pandas as pd
import yaml

from paper_code.runs.config import PROJECT_FOLDER

CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context that version 1.0 of Croissant prescribes."""
TABLES = {
    "runs": "A row per run of the book: what was trained, its score, and where it was made. `record` names the JSON "
    "file with all that was measured, in the records' archive of a release and in figures/data/runs of the project.",
    "likeness": "The synthetic logs criteo_like and avazu_like beside real rows of Criteo and Avazu: what they share.",
    "likeness_fields": "The same for every field of these logs.",
}
"""Tables of `figures/data` that are described, by the names of their files."""
TYPES = {"i": "sc:Integer", "f": "sc:Float", "b": "sc:Boolean"}


def citation() -> dict:
    return yaml.safe_load((PROJECT_FOLDER / "CITATION.cff").read_text(encoding="utf-8"))


def croissant(figures: Path, url: str) -> dict:
    """Croissant's description of `TABLES`. figures: the folder; url: where the book is, as far as is known."""
    cited = citation()
    files = {name: figures / "data" / f"{name}.csv" for name in TABLES}
    tables = {name: pd.read_csv(path) for name, path in files.items()}
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": "embedding_collapse_runs",
        "description": "Runs of click models on synthetic and real logs, made to test the claims of 'On the Embedding "
        "Collapse When Scaling Up Recommendation Models'. The synthetic logs are generated from a seed: "
        "`paper_code.data.criteo_like(seed)` and `avazu_like(seed)`.",
        "creator": {"@type": "sc:Organization", "name": cited["authors"][0]["name"]},
        "citeAs": f"{cited['title']}, version {cited['version']}",
        "license": "https://creativecommons.org/licenses/by/4.0/",
        "url": url,
        "version": cited["version"],
        "datePublished": tables["runs"]["date"].max(),
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": f"{name}.csv",
                "name": f"{name}.csv",
                "contentUrl": f"../figures/data/{name}.csv",
                "encodingFormat": "text/csv",
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            }
            for name, path in files.items()
        ],
        "recordSet": [record_set(name, words, tables[name]) for name, words in TABLES.items()],
    }


def record_set(name: str, description: str, table: pd.DataFrame) -> dict:
    """Croissant's description of a table and its columns."""
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"{name}/{column}",
            "name": column,
            "dataType": TYPES.get(values.dtype.kind, "sc:Text"),
            "source": {"fileObject": {"@id": f"{name}.csv"}, "extract": {"column": column}},
        }
        for column, values in table.items()
    ]
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "description": description, "field": fields}


def codemeta(url: str) -> dict:
    """CodeMeta's description of the code, from `CITATION.cff`."""
    cited = citation()
    return {
        "@context": "https://w3id.org/codemeta/3.0",
        "@type": "SoftwareSourceCode",
        "name": cited["title"],
        "description": " ".join(cited["message"].split()),
        "version": cited["version"],
        "author": [{"@type": "Organization", "name": author["name"]} for author in cited["authors"]],
        "license": "https://spdx.org/licenses/MIT",
        "programmingLanguage": "Python",
        "url": url,
        "referencePublication": [
            {"@type": "ScholarlyArticle", "name": paper["title"], "url": paper["url"]} for paper in cited["references"]
        ],
    }
