"""People whom the face model did not make, photographed by a renderer that the fit does not assume.

Renders of the fit's own model in its own light are a mirror: whatever the fit believes is true there, and settings that
trust the pixels look best. Here shapes leave the span of the model (`foreign_shapes`), skin is painted (`foreign_skin`),
and rays are cast under lamps that have a size (`ray_casting`). What carries over from these people to photographs is not
proven either, but it had to carry over once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from functools import cached_property

import torch
from torch import Tensor

from helpers.camera import Camera, Pose
from helpers.datasets.conditions import Conditions
from helpers.datasets.foreign_shapes import POPULATION, ForeignShapes
from helpers.datasets.foreign_skin import ForeignSkin
from helpers.datasets.nuisances import Nuisances
from helpers.datasets.random_streams import RandomStreams
from helpers.datasets.ray_casting import Studio, ray_cast
from helpers.datasets.synthetic_people import PeopleBatch, SyntheticPeople
from helpers.datasets.wardrobe import NO_HAT, Outfits
from helpers.face_model import FaceCoefficients, look
from helpers.landmarks import detect

# A detector's idea of the points is not the model's: mm by which it differs, for all people and for one; more along the
# jaw and the brows, where nothing marks a point, by these factors.
POINTS_SIGMA = (1.0, 0.8)
JAW, BROWS = 2.0, 1.5
TONES = (-45.0, 62.0)  # individual typology angle, degrees, of the darkest and the lightest skin
DARK_HAIRED = 20.0  # degrees; below it nobody is blond
WHITE = 0.85  # linear light from a white face in front of the camera, as cameras expose on average
SHINY = {"skin": 1.0, "lips": 1.8, "eyes": 4.0, "hairline": 0.5}  # factors on the highlight


@dataclass(frozen=True)
class ForeignPeople(SyntheticPeople):
    """As `SyntheticPeople`, but of another population, and drawn by ray casting.

    Neither shape nor colour of these people has numbers in the model: `coefficients` and `light` of their photographs are
    NaN. The truth are `neutral`, `vertices`, and the skin's colour, `skin`. Meshes are whole heads, and so is `model`.

    Args:
        tone: degrees, the individual typology angle of everybody's skin; None spreads people evenly from dark to light.
            All else stays the same, so that tones can be compared on the same faces in the same light.
        detector: whose points the photographs have, as `helpers.landmarks.detect` takes its name; None simulates it, as is
            also done where it finds no face.
    """

    tone: float | None = field(default=None, kw_only=True)
    detector: str | None = field(default=None, kw_only=True)

    size: int = field(default=224, kw_only=True)
    framing: str = field(default="fit", kw_only=True)
    nuisances: Nuisances = field(
        default_factory=lambda: Nuisances(occluders=0.0, colour=0.0, jpeg=0.5), kw_only=True
    )

    def __post_init__(self):
        super().__post_init__()
        if not (self.tone is None or TONES[0] <= self.tone <= TONES[1]):
            raise ValueError(
                f"tone must lie between {TONES[0]:g} and {TONES[1]:g} degrees, got {self.tone!r}"
            )
        object.__setattr__(self, "model", self.model.whole_head)

    @property
    def n_expressions(self) -> int:
        """U, the units of expressions."""
        return len(self.model.expression_names)

    @cached_property
    def coefficients(self) -> FaceCoefficients:
        """NaN, in the shape of the model's numbers: nobody here has such."""
        return self._unknown(self.people)

    @cached_property
    def neutral(self) -> Tensor:
        """(P, V, 3) mm, all people at rest."""
        streams = self._streams(torch.arange(self.people))
        return self._shapes.neutral(streams, streams.uniform("age") ** 2)

    @cached_property
    def skin(self) -> Tensor:
        """(P, 3) sRGB, the plain colour of everybody's skin."""
        return self._painted[1]

    @cached_property
    def _painted(self) -> tuple[Tensor, Tensor]:
        streams = self._streams(torch.arange(self.people))
        return self._paint.paint(streams, self._tones, self._outfits.hair.colour)

    @cached_property
    def _tones(self) -> Tensor:
        """(P,) degrees, the individual typology angles."""
        people = torch.arange(self.people)
        # Steps of the golden section spread any number of people evenly.
        share = RandomStreams(self.seed, [0]).uniform("first tone") + people * (5**0.5 - 1) / 2
        tones = TONES[0] + (TONES[1] - TONES[0]) * (share % 1).to(self.model.mean_shape)
        return tones if self.tone is None else torch.full_like(tones, self.tone)

    @cached_property
    def _outfits(self) -> Outfits:
        """Of all people: hair, dark or grey on darker skin, and a shirt."""
        drawn = Outfits.draw(self._streams(torch.arange(self.people)), 1.0)
        nothing, colour = torch.zeros_like(drawn.beard), drawn.hair.colour
        fair = (colour.amax(1) - colour.amin(1) > 0.08) & (self._tones < DARK_HAIRED)
        hair = replace(drawn.hair, colour=torch.where(fair[:, None], 0.3 * colour, colour))
        return replace(drawn, hair=hair, beard=nothing, glasses=nothing, hat=torch.full_like(nothing, NO_HAT))

    @cached_property
    def _shapes(self) -> ForeignShapes:
        return ForeignShapes(self.model)

    @cached_property
    def _paint(self) -> ForeignSkin:
        return ForeignSkin(self.model)

    @cached_property
    def _shine(self) -> Tensor:
        """(V',) of head and wardrobe."""
        masks = self.model.masks
        assert masks is not None
        shine = masks["skin"].clone()
        for name, factor in SHINY.items():
            shine = torch.maximum(shine, factor * masks[name])
        return shine

    def _streams(self, person: Tensor) -> RandomStreams:
        return RandomStreams(self.seed, person.tolist(), device=self.model.mean_shape.device)

    def _unknown(self, n: int) -> FaceCoefficients:
        assert self.model.expression_std is not None
        sizes = (len(self.model.shape_std), len(self.model.texture_std), len(self.model.expression_std))
        return FaceCoefficients(*(self.model.mean_shape.new_full((n, k), torch.nan) for k in sizes))

    def _faces(self, person: Tensor, expression: Tensor) -> tuple[FaceCoefficients, Tensor, Tensor, Tensor]:
        neutral, albedo = self.neutral[person], self._painted[0][person]
        # The last numbers turn the eyes.
        gaze = expression[:, :2].clamp(-1.5, 1.5) * 0.2
        vertices = look(
            self.model, self._shapes.expressed(neutral, expression), gaze[:, None].expand(-1, 2, -1)
        )
        return self._unknown(len(person)), neutral, vertices, albedo

    def _points(self, vertices: Tensor, person: Tensor) -> Tensor:
        points = vertices[:, self.model.landmarks]
        both, own = POINTS_SIGMA
        off = RandomStreams(POPULATION, [3]).normal("points", 68, 3, sigma=both).to(points)
        off = off + self._streams(person).normal("points", 68, 3, sigma=own).to(points)
        factor = torch.ones_like(off[:1, :, :1])
        factor[:, :17], factor[:, 17:27] = JAW, BROWS
        return points + factor * off

    def _drawn(
        self,
        coefficients: FaceCoefficients,
        vertices: Tensor,
        albedo: Tensor,
        pose: Pose,
        camera: Camera,
        conditions: Conditions,
        streams: RandomStreams,
        person: Tensor,
    ) -> tuple[Tensor, Tensor]:
        outfits = _rows(self._outfits, person)
        dressed = self._wardrobe.dress(coefficients, vertices, albedo, outfits)
        shine = self._shine.new_full((dressed.vertices.shape[1],), 0.3)
        shine[: len(self._shine)] = self._shine
        image, triangle_id = ray_cast(
            dressed.vertices,
            dressed.triangles,
            dressed.colours,
            shine,
            pose,
            camera,
            _draw_studio(streams),
            conditions.backgrounds.images(self.size),
        )
        return image, torch.where(triangle_id < len(self.model.triangles), triangle_id, -1)

    def _photographs(self, indices: Tensor) -> PeopleBatch:
        drawn = super()._photographs(indices)
        drawn = replace(drawn, light=torch.full_like(drawn.light, torch.nan))
        if self.detector is None:
            return drawn
        points, confidence = drawn.landmarks.clone(), drawn.confidence.clone()
        for b, image in enumerate(drawn.image.cpu().numpy()):
            faces = detect(image, self.detector)
            if faces:
                points[b] = torch.from_numpy(faces[0].points).to(points)
                confidence[b] = faces[0].confidence
        return replace(drawn, landmarks=points, confidence=confidence)


def _rows(outfits: Outfits, person: Tensor) -> Outfits:
    """Those of some people."""
    hair = replace(
        outfits.hair, **{f.name: getattr(outfits.hair, f.name)[person] for f in fields(outfits.hair)}
    )
    own = {f.name: getattr(outfits, f.name)[person] for f in fields(outfits) if f.name != "hair"}
    return replace(outfits, hair=hair, **own)


def _draw_studio(streams: RandomStreams) -> Studio:
    """A lamp or window in front, a second one from a side, and light from above and below."""

    def direction(azimuth: Tensor, elevation: Tensor) -> Tensor:
        level = elevation.cos()
        return torch.stack([level * azimuth.sin(), elevation.sin(), level * azimuth.cos()], -1)

    side = torch.where(streams.uniform("lamp side") < 0.5, -1.0, 1.0)
    towards = torch.stack(
        [
            direction(
                side * streams.uniform("key azimuth", high=1.2),
                streams.uniform("key height", low=0.0, high=1.0),
            ),
            direction(
                -side * streams.uniform("second azimuth", low=0.6, high=2.0),
                streams.within("second height", 0.5),
            ),
        ],
        1,
    )
    key, second = streams.uniform("key", low=0.35, high=1.0), streams.uniform("second", high=0.5)
    above, below = streams.uniform("sky", low=0.25, high=0.7), streams.uniform("ground", low=0.3, high=0.9)
    tints = (0.06 * streams.normal("tints", 4, 1) * towards.new_tensor([1.0, 0.1, -1.0])).exp()
    lamps = torch.stack([key, second], 1)[..., None] * tints[:, :2]
    sky, ground = above[:, None] * tints[:, 2], (above * below)[:, None] * tints[:, 3]
    # The camera exposes and balances the light, and not the skin: it does neither exactly.
    ahead = towards[..., 2].clamp(min=0)[..., None]
    white = (lamps * ahead).sum(1) + (sky + ground) / 2
    exposed = WHITE / white.mean(-1, keepdim=True) * streams.normal("exposure", 1, sigma=0.12).exp()
    balance = (white / white.mean(-1, keepdim=True)).pow(-0.8) * streams.normal(
        "balance", 3, sigma=0.03
    ).exp()
    gain = exposed * balance
    return Studio(
        towards=towards,
        spread=streams.uniform("lamp sizes", 2, low=math.radians(2), high=math.radians(20)),
        lamps=lamps * gain[:, None],
        sky=sky * gain,
        ground=ground * gain,
        gloss=streams.uniform("gloss", low=10.0, high=45.0),
        shine=streams.uniform("shine", low=0.2, high=1.3),
    )
