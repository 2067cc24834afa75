"""The card is parsed completely or refused in one clear line."""

import json
from typing import Any

import pytest
from colour_model import NEW_IN_3, card_data, make_card, older_card_data

from seqvision_edge.card import ModelCard
from seqvision_edge.errors import CardError


def refusal(data: Any) -> str:
    with pytest.raises(CardError) as error:
        ModelCard.from_json(data if isinstance(data, str) else json.dumps(data), "model.onnx")
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith("model.onnx: ")
    return message


def test_a_card_survives_the_way_through_json() -> None:
    card = make_card()
    assert ModelCard.from_json(card.to_json(), "test") == card


def test_a_card_of_a_newer_spec_names_the_update_command() -> None:
    assert "spec 99" in refusal(card_data(spec=99))
    assert "git pull && pip install -U ./edge" in refusal(card_data(spec=99))


@pytest.mark.parametrize("spec", [None, "1", 0, True, 1.5])
def test_a_spec_that_is_no_known_number_is_refused(spec: Any) -> None:
    assert "this version reads 1 to" in refusal(card_data(spec=spec))


def test_a_newer_spec_is_reported_whatever_else_has_changed() -> None:
    assert "spec 6" in refusal({"spec": 6, "classes": []})


def test_an_unknown_key_is_refused_by_name() -> None:
    assert "colour" in refusal(card_data(colour="red"))


@pytest.mark.parametrize("key", ["labels", "sequence", "image", "state", "decision", "origin"])
def test_a_missing_key_is_refused_by_name(key: str) -> None:
    data = card_data()
    del data[key]
    assert key in refusal(data)


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("sequence", "fps", 0),
        ("sequence", "fps", "10"),
        ("sequence", "frames", 0),
        ("image", "channels", 2),
        ("image", "fit", "squeeze"),
        ("decision", "enter", 1.5),
        ("decision", "temperature", 0),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_key(part: str, key: str, value: Any) -> None:
    data = card_data()
    data[part] = {**data[part], key: value}
    assert f"{part}.{key}" in refusal(data)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (["red", "red", "none"], "listed twice"),
        (["none"], "at least 2"),
        (["", "none"], "1 to 128"),
        (["red\x1b[2J", "none"], "has control characters"),
        (["red", "green"], "not one of the labels"),
    ],
)
def test_invisible_and_ambiguous_labels_are_refused(labels: list[str], reason: str) -> None:
    assert reason in refusal(card_data(labels=labels))


def decision_data(**changes: Any) -> dict[str, Any]:
    return {**card_data()["decision"], **changes}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"enter": 0.4, "leave": 0.6}, "leave is above"),
        ({"enter": 0.6, "early": 0.5}, "early is below"),
        ({"smoothing": "median"}, "decision.smoothing"),
        ({"reject": 1.1}, "decision.reject"),
        ({"early": "off"}, "decision.early"),
        ({"smoothing_frames": 4097}, "decision.smoothing_frames"),
        ({"smoothing_frames": 10**30}, "decision.smoothing_frames"),
        ({"smoothing_frames": True}, "decision.smoothing_frames"),
    ],
)
def test_settings_of_the_decision_that_make_no_sense_are_refused(
    changes: dict[str, Any], reason: str
) -> None:
    assert reason in refusal(card_data(decision=decision_data(**changes)))


@pytest.mark.parametrize("spec", [1, 2, 3])
def test_an_older_card_gets_the_behaviour_of_its_runner(spec: int) -> None:
    card = ModelCard.from_json(json.dumps(older_card_data(spec)), "test")
    output = {} if spec == 3 else {"smoothing": "mean", "reject": 0.0, "early": None}
    assert card == make_card(decision=decision_data(**output))
    assert card.image.value_range is None


def test_the_range_of_values_is_a_key_of_spec_4() -> None:
    image = {**card_data()["image"], "value_range": [0, 4500]}
    assert make_card(image=image).image.value_range == (0, 4500)
    assert "spec" in refusal({**older_card_data(3), "image": image})
    del image["value_range"]
    assert "image.value_range" in refusal(card_data(image=image))
    for wrong in ([5, 5], [9, 0], [1], "0,4500", [0, "x"], [0, None]):
        assert "image.value_range" in refusal(card_data(image={**image, "value_range": wrong}))


@pytest.mark.parametrize("key", NEW_IN_3)
def test_a_key_of_a_later_spec_is_unknown_in_an_older_one(key: str) -> None:
    data = older_card_data(2)
    data["decision"][key] = decision_data()[key]
    assert "spec" in refusal(data)


@pytest.mark.parametrize("key", NEW_IN_3)
def test_a_missing_setting_of_the_decision_is_refused_by_name(key: str) -> None:
    decision = decision_data()
    del decision[key]
    assert f"decision.{key}" in refusal(card_data(decision=decision))


@pytest.mark.parametrize("decision", [None, [], 3])
def test_an_older_card_without_a_decision_is_refused(decision: Any) -> None:
    assert "model.onnx" in refusal({**older_card_data(2), "decision": decision})


@pytest.mark.parametrize("text", ["", "{", "[1]", "NaN"])
def test_what_is_no_json_object_is_refused(text: str) -> None:
    assert "JSON" in refusal(text)
