"""The rating of a benchmark: points by category, as text, JSON and a catalogue's `ratings`."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sciml_data.bench.task.task import Task
from sciml_data.registry.layout import Registry
from sciml_data.results.rating.questions import QUESTIONS, RUBRIC, Answer, Question, Subject

WIDTH = 100
INDENT = " " * 10
FULL = 5  # points of a category


@dataclass(frozen=True)
class Rating:
    """The answers to all questions about a benchmark."""

    benchmark: str
    answers: tuple[tuple[Question, Answer], ...]

    def points(self, category: str) -> int:
        """Return the points of a category, 0 to 5."""
        return sum(
            _points(question, answer)
            for question, answer in self.answers
            if question.category == category
        )

    @property
    def average(self) -> float:
        """Return the mean over categories."""
        return sum(map(self.points, RUBRIC)) / len(RUBRIC)

    def count(self, verdict: str) -> int:
        """Return the number of answers yes, no or unknown."""
        return sum(answer.verdict == verdict for _, answer in self.answers)

    def to_text(self) -> str:
        """Return a line for each question, with its reason and what proves it."""
        counts = ", ".join(f"{self.count(word)} {word}" for word in ("yes", "no", "unknown"))
        lines = [
            f"{self.benchmark}: {self.average:.2f} of {FULL} points on average; "
            f"{len(self.answers)} questions: {counts}"
        ]
        for category in RUBRIC:
            lines.append(f"{category}: {self.points(category)} of {FULL}")
            for question, answer in self._in(category):
                lines.append(f"  {answer.verdict:<7} {question.text}")
                lines += _wrapped(f"{answer.reason}. [{answer.evidence}]")
        return "\n".join(lines)

    def to_document(self) -> dict[str, Any]:
        """Return the rating as JSON values."""
        return {
            "benchmark": self.benchmark,
            "average": round(self.average, 3),
            "points": {category: self.points(category) for category in RUBRIC},
            "answers": [
                {
                    "question": question.id,
                    "text": question.text,
                    "answer": answer.verdict,
                    "points": _points(question, answer),
                    "reason": answer.reason,
                    "evidence": answer.evidence,
                }
                for question, answer in self.answers
            ],
        }

    def to_ratings(self) -> dict[str, dict[str, Any]]:
        """Return `ratings` of a catalogue entry: points with a reason by category."""
        return {
            category: {
                "rating": self.points(category),
                "reason": "\n".join(_sentence(*pair) for pair in self._in(category)),
            }
            for category in RUBRIC
        }

    def _in(self, category: str) -> Sequence[tuple[Question, Answer]]:
        return [pair for pair in self.answers if pair[0].category == category]


def rate(task: Task, registry: Registry) -> Rating:
    """Return the rating of a benchmark.

    Args:
        task: the benchmark, as it was loaded.
        registry: describes its datasets.

    Raises:
        CallError: the extra `fair` is not installed.
        DescriptorError: a split or a metric of the benchmark is not valid.
    """
    subject = Subject(task, registry)
    answers = tuple((question, question.check(subject)) for question in QUESTIONS)
    return Rating(task.name, answers)


def _points(question: Question, answer: Answer) -> int:
    if answer.points is not None:
        return answer.points
    return question.points if answer.verdict == "yes" else 0


def _sentence(question: Question, answer: Answer) -> str:
    return f"{question.text} {answer.verdict}: {answer.reason} [{answer.evidence}]"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT, break_on_hyphens=False
    )
