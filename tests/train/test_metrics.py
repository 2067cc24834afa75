import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from seqvision.metrics import before_temperature, by_group, calibration
from seqvision.statistics import wilson


def test_the_calibration_error_equals_a_hand_computed_and_torchmetrics() -> None:
    probabilities = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.3, 0.7], [0.4, 0.6]])
    truth = torch.tensor([0, 1, 1, 0])
    # Two at 0.9, one right: |0.9 − 0.5| · 2/4; one at 0.7, right: 0.3/4; one at 0.6, wrong: 0.6/4.
    found = calibration(probabilities, truth)
    assert found.error == pytest.approx(0.2 + 0.075 + 0.15)
    assert [bin_.clips for bin_ in found.bins if bin_.clips] == [1, 1, 2]
    assert len(found.bins) == 15
    assert found.bins[13].confidence == pytest.approx(0.9)
    assert found.bins[13].accuracy == 0.5

    many = torch.randn(500, 7, generator=torch.manual_seed(1)).mul(2).softmax(1)
    labels = torch.multinomial(many.sqrt(), 1, generator=torch.manual_seed(2))[:, 0]
    expected = multiclass_calibration_error(many, labels, 7, n_bins=15, norm="l1")
    assert calibration(many, labels).error == pytest.approx(float(expected), abs=1e-6)


def test_probabilities_of_0_and_1_have_a_bin() -> None:
    certain = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert calibration(certain, torch.tensor([0, 0])).error == pytest.approx(0.5)


def test_a_temperature_can_be_undone() -> None:
    logits = torch.randn(20, 5, generator=torch.manual_seed(0)).double() * 3
    after = (logits / 2.5).softmax(1)
    assert torch.allclose(before_temperature(after, 2.5), logits.softmax(1))
    assert torch.allclose(before_temperature(after, 1.0), after)


def test_groups_are_sorted_worst_first_without_ungrouped_clips() -> None:
    groups = ["a", "b", None, "a", "c", "b", "c", "c"]
    right = [True, False, False, True, True, False, False, True]
    found = by_group(groups, right)
    assert [(group.group, group.right, group.clips) for group in found] == [
        ("b", 0, 2), ("c", 2, 3), ("a", 2, 2)
    ]  # fmt: skip
    assert found[1].interval == wilson(2, 3)
    assert by_group([None, None], [True, False]) == ()
