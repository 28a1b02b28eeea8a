"""The report of a language model."""

from collections.abc import Iterator, Mapping

from lamina.evaluate import verdict
from lamina.evaluate.verdict import Wording
from lamina.experiment import Baseline, Conclusion, Finding, Section, Summary
from lamina.tasks.language_modelling.corpus import Ids

WORDING = Wording(
    verb="tells the next token of",
    activity="telling the next token of",
    best="The network tells the next token of {subject} better than {rival}: {facts}",
)


def conclude(finding: Finding, baselines: Mapping[str, Baseline]) -> Conclusion:
    experiment, evaluation = finding.experiment, finding.evaluation
    scores = {name: baseline.scores for name, baseline in baselines.items()}
    sentence = verdict.sentence(
        experiment.metrics[0], evaluation.scores, scores, "the text", evaluation.interval, WORDING
    )
    return Conclusion(sentence, "the text")


def sections(finding: Finding, train: Ids) -> Iterator[Section]:
    yield from ()


def summary(finding: Finding) -> Summary:
    return Summary()
