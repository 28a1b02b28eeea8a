"""What a language model is worth on a text it has not seen, beside models of counts. No torch."""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.config import DataError, MissingColumn
from lamina.evaluate import metrics as registry
from lamina.experiment import Baseline, Evaluation, Finding
from lamina.preprocess.text.ragged import Ragged
from lamina.schema import Collected
from lamina.task import Session
from lamina.tasks.language_modelling import corpus, ngrams, scoring, sequences
from lamina.tasks.language_modelling.corpus import Ids
from lamina.tasks.language_modelling.metrics import NAMES

MOST_BYTES = 1 << 18  # bytes of text that are evaluated at most


class Details(NamedTuple):
    """What was evaluated: `texts`, each from the id before its first token on, `size` bytes of `total`."""

    texts: Ragged
    size: int
    total: int


def evaluate(session: Session, rows: pa.Table) -> Evaluation:
    """The loss of the first 256 kB of texts at most. Errors: DataError where there is no token."""
    state = session.task.state
    column = rows[session.prep.columns[0].name].drop_null()
    total = int(sequences.sizes(column).sum())
    if state.documents:
        few = int(np.searchsorted(np.cumsum(sequences.sizes(column)), MOST_BYTES)) + 1
        texts = pa.concat_arrays(
            [chunk.cast(pa.string()) for chunk in column.slice(0, few).chunks] or [pa.array([], pa.string())]
        )
    else:
        texts = pa.array([_beginning(column)], pa.string())
    encoded = sequences.encode(texts, state)
    likelihoods = scoring.likelihoods(session, encoded)
    count = len(likelihoods.nll)
    if not count:
        raise DataError("evaluate: there is no token to evaluate on. Give more text.")
    size = int(sequences.sizes(texts).sum())
    firsts = np.zeros(len(encoded.ids), bool)
    firsts[encoded.offsets[:-1][encoded.lengths > 0]] = True
    answers = {"nll": likelihoods.nll, "bytes": np.full(count, (size + state.documents * len(texts)) / count)}
    answers |= {} if likelihoods.best is None else {"best": likelihoods.best}
    target = encoded.ids[~firsts]
    scores = registry.scores(NAMES, target, answers)
    interval = registry.bootstrap(NAMES[0], target, answers)
    return Evaluation(scores, interval, target, answers, rows.num_rows, details=Details(encoded, size, total))


def _beginning(column: pa.ChunkedArray) -> str:
    """Rows that are one text, as far as they are evaluated; cut between two characters."""
    ends = np.cumsum(sequences.sizes(column))
    few = int(np.searchsorted(ends, MOST_BYTES)) + 1
    text = sequences.joined(column.slice(0, few))
    body = text.encode()
    return text if len(body) <= MOST_BYTES else body[:MOST_BYTES].decode("utf-8", "ignore")


def evaluate_source(session: Any, collected: Collected) -> Evaluation:
    """The same for a source. Errors: DataError where it holds no texts."""
    name, table = session.prep.columns[0].name, collected.table
    if name not in table.column_names:
        others = [field.name for field in table.schema if corpus.is_text(field.type)]
        if len(others) != 1:
            raise MissingColumn(f"evaluate: there is no column '{name}', which the texts were in.")
        table = table.rename_columns([name if other == others[0] else other for other in table.column_names])
    if not corpus.is_text(table[name].type):
        raise DataError(f"evaluate: column '{name}' holds no texts.")
    table = table.select([name]).filter(pc.greater(pc.fill_null(pc.binary_length(table[name]), 0), 0))
    return evaluate(session, table)._replace(skipped_rows=collected.skipped_rows)


def baselines(finding: Finding, train: Ids, notes: list[str]) -> dict[str, Baseline]:
    """Counts of tokens, of pairs, and n-grams with Kneser-Ney smoothing, of the same ids."""
    evaluation, state = finding.evaluation, finding.session.task.state
    details: Details = evaluation.details
    if len(train.ids) > ngrams.MOST:
        notes.append(
            f"Models of counts were fitted on the last {ngrams.MOST:,} of the {len(train.ids):,} training tokens."
        )
    if details.size < details.total:
        notes.append(f"Evaluated on the first {details.size:,} of the {details.total:,} bytes of test text.")
    learned, text = ngrams.of_corpus(train), ngrams.of_texts(details.texts)
    order = ngrams.ORDERS.get(state.tokenizer.tokenizer, ngrams.ORDER)
    methods = {
        "kneser_ney": ngrams.kneser_ney(learned, state.size, order).nll(text),
        "bigram": ngrams.bigram(learned, text, state.size),
        "unigram": ngrams.unigram(learned, text, state.size),
    }
    bytes_of = evaluation.answers["bytes"]
    return {
        name: Baseline(registry.scores(NAMES, evaluation.target, answers), answers)
        for name, answers in ((name, {"nll": nll, "bytes": bytes_of}) for name, nll in methods.items())
    }
