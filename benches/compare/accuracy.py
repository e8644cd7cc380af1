"""Accuracy as `paidan replay` counts it, the same for all rivals."""


def accuracy(answers: list, labels: list, frequent: list) -> dict:
    """Over the orders of departments with at least 30 training orders: the share that is right, and macro-F1 over those
    departments; an answer outside of them counts as wrong. `labels` has None for departments that the model does not know."""
    rows = [(label, answer) for label, answer in zip(labels, answers) if label is not None and frequent[label]]
    scores = []
    for department in (row for row, often in enumerate(frequent) if often):
        right = sum(label == answer == department for label, answer in rows)
        of_all = sum((label == department) + (answer == department) for label, answer in rows)
        scores.append(2 * right / of_all if of_all else 0.0)
    return {
        "accuracy": sum(label == answer for label, answer in rows) / max(1, len(rows)),
        "macro_f1": sum(scores) / max(1, len(scores)),
        "orders": len(rows),
    }
