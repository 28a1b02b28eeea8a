"""The report of a language model: what it writes, what of that stands in its training text, what it finds hard."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

import numpy as np

from lamina.evaluate import verdict
from lamina.evaluate.markup import escape, figure, number, section, table
from lamina.evaluate.verdict import Wording
from lamina.experiment import Baseline, Conclusion, Finding, Section, Summary
from lamina.preprocess.text import tokenizers
from lamina.schema import Row
from lamina.tasks.language_modelling import operation, plots, repetition, report_samples, scoring
from lamina.tasks.language_modelling.evaluation import Details
from lamina.tasks.language_modelling.report_samples import Samples

WINDOWS = 256  # that the loss by position is a mean of
STRETCH, EXAMPLES = 80, 4  # tokens of a stretch, and how many of each sort are shown
SHORT = 4  # tokens of a text, before which a share by position is of too few
WORDING = Wording(
    verb="tells the next token of",
    activity="telling the next token of",
    best="The network tells the next token of {subject} better than {rival}: {facts}",
)
SUBJECT = "the text"
HEADS = ("temperature", f"runs of {repetition.RUN} characters that are in the training text")


def conclude(finding: Finding, baselines: Mapping[str, Baseline]) -> Conclusion:
    """One honest sentence by the loss."""
    experiment, evaluation = finding.experiment, finding.evaluation
    scores = {name: baseline.scores for name, baseline in baselines.items()}
    sentence = verdict.sentence(experiment.metrics[0], evaluation.scores, scores, SUBJECT, evaluation.interval, WORDING)
    details: Details = evaluation.details
    measured = f"Measured on {len(evaluation.target):,} tokens of text that played no part in training."
    part = "" if details.size >= details.total else f" They are the first {details.size:,} of {details.total:,} bytes."
    return Conclusion(sentence, SUBJECT, measured=measured + part)


def sections(finding: Finding) -> Iterator[Section]:
    """Samples, the loss by position, stretches, and what a token is."""
    session = finding.session
    if operation.generates(session):
        yield _samples(finding)
    yield _positions(finding)
    if not session.task.state.documents:
        yield _stretches(finding)
    yield _vocabulary(finding)


def _samples(finding: Finding) -> Section:
    """What is written at several temperatures, and how much of it is quoted."""
    session, training = finding.session, cast(Any, finding.experiment).texts["train"]
    sets, speed = report_samples.write(session), report_samples.speed(session)
    many = session.task.state.documents
    *shares, own = repetition.repeated([*(one.texts for one in sets), [_test_text(finding)]], training)
    facts: Row = {
        "repeated": {
            "characters": repetition.RUN,
            "by_temperature": [
                {"temperature": one.temperature, "share": share} for one, share in zip(sets, shares, strict=True)
            ],
            "held_out": own,
        },
        "speed": speed,
    }
    if many:
        copies = repetition.known(sets[-1].texts, training)
        fresh = [text for text, copy in zip(sets[-1].texts, copies, strict=True) if text and not copy]
        facts["new"] = {"written": len(copies), "in_training": sum(copies), "different": len(set(sets[-1].texts))}
        body = _documents(fresh, facts["new"])
        facts["samples"] = [{"temperature": sets[-1].temperature, "texts": fresh}]
    else:
        facts["samples"] = [{"temperature": one.temperature, "texts": one.texts[:1]} for one in sets]
        body = "".join(_text(one) for one in sets)
    rows = [[f"{one.temperature:g}", _percent(share)] for one, share in zip(sets, shares, strict=True)]
    rows.append(["the test text itself", _percent(own)])
    quoted = table(HEADS, rows, (1,)) if any(share is not None for share in shares) else ""
    fast = f"The bundle writes {number(speed['per_second'])} tokens a second here, one text at a time."
    lead = f'<p class="quiet lead">Written from the start of a text on, by seed 0. {fast}</p>'
    return Section("samples", "What it writes", "comparison", section("What it writes", "samples", lead, body, quoted),
                   {"language": facts})  # fmt: skip


def _test_text(finding: Finding) -> str:
    """The test text that was evaluated, as the tokenizer has it."""
    details: Details = finding.evaluation.details
    tokenizer = finding.session.task.state.tokenizer
    return tokenizers.decode((one for one in details.texts.ids.tolist() if one < tokenizer.size), tokenizer)


def _text(one: Samples) -> str:
    return f'<h3>Temperature {one.temperature:g}</h3><pre tabindex="0">{_lines(one.texts[0])}</pre>'


def _lines(text: str) -> str:
    """Text as it is, with its lines, escaped."""
    return "\n".join(escape(line, 400) if line.strip() else "" for line in text.split("\n"))


def _documents(fresh: list[str], facts: Row) -> str:
    """New texts; those that stand in the training text are counted and not shown."""
    sentence = (
        f"Of {facts['written']:,} texts at temperature 1, {facts['in_training']:,} are in the training text as they "
        f"are, and are not shown; {facts['different']:,} are different."
    )
    short = all(len(text) <= 40 and "\n" not in text for text in fresh)
    body = "\n".join(fresh) if not short else "  ".join(fresh)
    return f'<p>{sentence}</p><pre tabindex="0" style="white-space: pre-wrap">{_lines(body)}</pre>'


def _percent(share: float | None) -> str:
    return number(None) if share is None else f"{share:.1%}"


def _positions(finding: Finding) -> Section:
    """How much the network makes of what was before."""
    session, evaluation = finding.session, finding.evaluation
    details: Details = evaluation.details
    context, lengths = session.task.state.context, details.texts.lengths
    nats = np.zeros(0)
    if session.task.state.documents:
        nats = _by_index(evaluation.answers["nll"], np.maximum(lengths - 1, 0), context)
    elif len(details.texts.ids) > context:
        starts = np.arange(0, len(details.texts.ids) - context, context)
        some = starts[np.linspace(0, len(starts) - 1, min(WINDOWS, len(starts))).astype(int)]
        nats = scoring.by_position(session, details.texts.ids, some)
    if len(nats) < 2:
        return Section("positions")
    drawing = plots.by_position(nats, float(evaluation.scores["nats_per_token"] or 0))
    caption = "A line that falls: what was before helps. Where it is level, more context would help no more."
    html = section("Loss by position", "positions", figure(drawing, caption))
    values = [round(float(v), 4) for v in nats]
    return Section("positions", "Loss by position", "comparison", html, {"loss_by_position": values})


def _by_index(nll: np.ndarray, lengths: np.ndarray, most: int) -> np.ndarray:
    """Means by the number of a token in its document, as far as enough documents are so long."""
    index = np.arange(len(nll)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    inside = index < most
    counts = np.bincount(index[inside], minlength=1)
    sums = np.bincount(index[inside], nll[inside].astype(np.float64), minlength=1)
    enough = counts >= SHORT
    stop = len(counts) if enough.all() else int(np.argmin(enough))
    return sums[:stop] / np.maximum(counts[:stop], 1)


def _stretches(finding: Finding) -> Section:
    """Where the network is least and most surprised, of one text."""
    evaluation, tokenizer = finding.evaluation, finding.session.task.state.tokenizer
    nll, count = evaluation.answers["nll"].astype(np.float64), len(evaluation.target) // STRETCH
    if count < 2 * EXAMPLES:
        return Section("stretches")
    means = nll[: count * STRETCH].reshape(count, STRETCH).mean(axis=1)
    order = np.argsort(means, kind="stable")

    def rows(places: np.ndarray) -> list[list[str]]:
        ids = evaluation.target.reshape(-1)
        texts = [tokenizers.decode(ids[i * STRETCH : (i + 1) * STRETCH].tolist(), tokenizer) for i in places.tolist()]
        return [[number(float(means[i])), escape(text)] for i, text in zip(places.tolist(), texts, strict=True)]

    title = "Easy and hard stretches"
    easy, hard = (table(("nats", "text"), rows(some), (0,)) for some in (order[:EXAMPLES], order[: -EXAMPLES - 1 : -1]))
    parts = f"<h3>Least surprising</h3>{easy}", f"<h3>Most surprising</h3>{hard}"
    return Section("stretches", title, "errors", section(title, "stretches", *parts))


def _vocabulary(finding: Finding) -> Section:
    """What a token is."""
    state, experiment = finding.session.task.state, cast(Any, finding.experiment)
    per_token = float(np.mean(finding.evaluation.answers["bytes"]))
    facts: dict[str, Any] = {
        "tokenizer": state.tokenizer.tokenizer,
        "size": state.size,
        "context": state.context,
        "bytes_per_token": round(per_token, 3),
        "training_tokens": max(len(experiment.ids["train"].ids) - 1, 0),
    }
    return Section("vocabulary", facts={"vocabulary": facts})


def summary(finding: Finding) -> Summary:
    """What the terminal shows beside scores: how to have it write."""
    bundle, session = finding.folder / "bundle", finding.session
    if not operation.generates(session):
        return Summary()
    return Summary(commands={"write": operation.usage(session, operation.GENERATE, str(bundle)).shell})
