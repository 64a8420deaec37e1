from .questions import QUESTIONS, Answer, Question
from .report import Rating, rate

__all__ = ["QUESTIONS", "Answer", "Question", "Rating", "rate"]
