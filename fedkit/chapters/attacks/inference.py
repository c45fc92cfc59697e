"""Property inference: what an update tells about a hospital as a whole, without any single patient."""


def prevalence(bias: float, learning_rate: float, predicted: float = 0.5) -> float:
    """Share of label 1, from the last bias's update after one step over all of a hospital's rows.

    The bias moves by learning_rate x (mean label - mean predicted probability), whatever the model: its gradient of
    cross-entropy, as Wainakh et al., "User-Level Label Leakage from Gradients in Federated Learning", PoPETs 2022,
    section 4, use it. In the first round every fedkit model predicts 0.5; later an attacker can only guess `predicted`.
    """
    return float(predicted + bias / learning_rate)
