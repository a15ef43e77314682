"""How well photographs agree: variances against those that were put in."""

import numpy as np
import pytest
import torch

from helpers.crop import FaceCrop
from helpers.datasets import known_faces
from helpers.errors import UserError
from helpers.evaluation import own_photographs
from helpers.evaluation.own_photographs import OwnPhotographs, agreement
from helpers.face_model import load
from helpers.labelling.crop_source import Loaded


@pytest.fixture(scope="module")
def model():
    return load("open", level=0)


def drawn(people, photos, within, seed=0, between=1.0):
    """People with known spread: each photograph's coefficients are the person's, and an error."""
    generator = torch.Generator().manual_seed(seed)
    count = [photos + p % 2 for p in range(people)]  # not all have equally many
    person = torch.arange(people).repeat_interleave(torch.tensor(count))
    truth = between * torch.randn(people, 198, generator=generator)
    found = truth[person] + within * torch.randn(len(person), 198, generator=generator)
    names = [f"p{p:03d}" for p in person.tolist()]
    place = torch.arange(len(person))
    return OwnPhotographs(found[:, :99], found[:, 99:], place, [f"{k}" for k in place], names, [])


def test_variances_are_those_that_were_put_in_though_photographs_are_few(model):
    found = agreement(drawn(300, 2, within=0.5), model)
    unit = float((model.shape_std.square().sum() / model.n_vertices).sqrt())
    assert found.within == pytest.approx(0.5 * unit, rel=0.05)
    assert found.between == pytest.approx(unit, rel=0.08)
    assert found.share == pytest.approx(1 / 1.25, abs=0.03)


def test_people_who_do_not_differ_have_no_share_and_no_area(model):
    found = agreement(drawn(60, 3, within=1.0, between=0.0), model)
    assert found.share < 0.1 and found.area.low < 0.5 < found.area.high


def test_cosines_are_those_of_all_pairs(model):
    own = drawn(6, 3, within=1.0)
    found = agreement(own, model)
    same, score = found.pairs.same, found.pairs.score
    assert found.cosine_within == pytest.approx(float(score[same].mean()))
    assert found.cosine_between == pytest.approx(float(score[~same].mean()))
    first = score[same & (found.pairs.first == 0)]
    assert len(first) == 3 and found.cosine[0] == pytest.approx(float(first.mean()))


def test_of_many_photographs_some_people_are_paired_whole(model, monkeypatch):
    monkeypatch.setattr(own_photographs, "MOST_PAIRED", 40)
    found = agreement(drawn(30, 3, within=0.5), model)
    photographs = round((2 * len(found.pairs.score)) ** 0.5 + 0.5)
    assert 30 < photographs <= 40 and found.pairs.people < 14 and len(found.people) == 30


def test_photographs_that_agree_wholly(model):
    found = agreement(drawn(6, 2, within=0.0), model)
    assert found.within < 1e-5 and found.share > 0.999 and found.area.mean == 1.0
    assert np.allclose(found.cosine, 1, atol=1e-5) and found.tone_within < 1e-3 < found.tone_between


def test_the_least_agreeing_person_is_the_one_with_a_stranger_among_her_photographs(model):
    own = drawn(5, 3, within=0.1)
    rows = [k for k, name in enumerate(own.people) if name == "p002"]
    own.alpha[rows[0]], own.beta[rows[0]] = -own.alpha[rows[0]], -own.beta[rows[0]]
    found = agreement(own, model)
    assert found.people[found.least] == "p002" and found.apart.argmax() == found.least


class TwoPhotographs:
    """A source of two faces and a file that cannot be read."""

    def __init__(self, faces, blank):
        image = faces.image.clone()
        image[blank] = torch.rand(image[blank].shape, generator=torch.Generator().manual_seed(0))
        whole = torch.ones(image.shape[:3])
        self.crop = FaceCrop(image, whole, faces.landmarks, torch.ones(2), torch.zeros(2, 2))

    def __len__(self):
        return 3

    def name(self, place):
        return f"ada/{place}.png", "ada"

    def load(self, places, size):
        failed = {2: ("unreadable", "is empty")} if 2 in places else {}
        return Loaded([p for p in places if p < 2], self.crop, torch.ones(2), failed)


def test_what_the_fit_doubts_does_not_count_and_is_explained(model):
    source = TwoPhotographs(known_faces(model, 2, seed=2), blank=1)
    found = own_photographs.read_photographs(source, own_photographs.by_fit(model), progress=False)
    assert found.names == ["ada/0.png"] and found.alpha.shape == (1, 99) and found.place.tolist() == [0]
    assert [each.id for each in found.dropped] == ["ada/2.png", "ada/1.png"]
    assert (
        found.dropped[0].explanation == "is empty"
        and found.dropped[1].reason
        and found.dropped[1].explanation
    )


def test_people_with_one_photograph_do_not_count_and_two_others_must_remain(model):
    own = drawn(3, 2, within=0.1)
    lone = OwnPhotographs(own.alpha[1:], own.beta[1:], own.place[1:], own.names[1:], own.people[1:], [])
    assert agreement(lone, model).people == ["p001", "p002"]
    with pytest.raises(UserError, match="of one person"):
        agreement(
            OwnPhotographs(own.alpha[:2], own.beta[:2], own.place[:2], own.names[:2], ["a", "a"], []), model
        )
    with pytest.raises(UserError, match="0 of 2 people has two"):
        agreement(
            OwnPhotographs(own.alpha[:2], own.beta[:2], own.place[:2], own.names[:2], ["a", "b"], []), model
        )
