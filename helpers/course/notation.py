"""The symbols of the course, and what they are called in the code. A test checks that every name exists."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Symbol:
    """One row.

    Attributes:
        notebook: the number of the one that introduces it.
        symbol: in TeX.
        meaning: in words.
        code: a dotted name below `helpers`, as `names.resolve` reads it.
        shape: of the tensor.
        unit: of its values.
        paper: where the fact is from, or empty.
    """

    notebook: str
    symbol: str
    meaning: str
    code: str
    shape: str
    unit: str
    paper: str = ""


GREEK = (
    "alpha beta gamma delta epsilon varepsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau phi psi omega ell"
).split()
REPORTED, CODE = "as reported", "authors' released code"

# One row a line.
# fmt: off
SYMBOLS = (
    Symbol("01", r"$\alpha$", "shape coefficients", "face_model.FaceCoefficients.alpha", "(B, 99)", "standard deviations", REPORTED),
    Symbol("01", r"$\beta$", "texture coefficients", "face_model.FaceCoefficients.beta", "(B, 99)", "standard deviations", REPORTED),
    Symbol("01", r"$e$", "expression coefficients", "face_model.FaceCoefficients.expression", "(B, 30)", "standard deviations", f"{CODE}, 29 there"),
    Symbol("01", r"$S$", "shape: all vertices of a face", "face_model.MorphableModel.shape", "(B, V, 3)", "mm", REPORTED),
    Symbol("01", r"$\bar S$", "mean shape", "face_model.MorphableModel.mean_shape", "(V, 3)", "mm", REPORTED),
    Symbol("01", r"$E_S$", "shape modes, columns of length 1", "face_model.MorphableModel.shape_basis", "(V, 3, 99)", "–", REPORTED),
    Symbol("01", r"$\sigma_S$", "standard deviations of the shape modes", "face_model.MorphableModel.shape_std", "(99,)", "mm", REPORTED),
    Symbol("01", r"$T$", "texture: the colours of all vertices", "face_model.MorphableModel.texture", "(B, V, 3)", "sRGB, 0–1", REPORTED),
    Symbol("01", r"$\bar T$", "mean texture", "face_model.MorphableModel.mean_texture", "(V, 3)", "sRGB, 0–1", REPORTED),
    Symbol("01", r"$E_T$", "texture modes, columns of length 1", "face_model.MorphableModel.texture_basis", "(V, 3, 99)", "–", REPORTED),
    Symbol("01", r"$\sigma_T$", "standard deviations of the texture modes", "face_model.MorphableModel.texture_std", "(99,)", "sRGB, 0–1", REPORTED),
    Symbol("01", r"$\lambda$", "weight of the prior of the coefficients; 1 is the prior as it is", "fitting.FitSettings.shape_weight", "a number", "–"),
    Symbol("02", r"$P$", "a point of the face, in model axes", "camera.model_to_camera(points)", "(B, V, 3)", "mm"),
    Symbol("02", r"$R$", "rotation of the head", "camera.Pose.rotation", "(B, 3, 3)", "–", REPORTED),
    Symbol("02", r"$t = (t_X, t_Y, t_Z)$", "translation of the head, in camera axes", "camera.Pose.translation", "(B, 3)", "mm", REPORTED),
    Symbol("02", r"$F$", "flip from model axes to camera axes, its diagonal", "camera.FLIP", "(3,)", "–"),
    Symbol("02", r"$f$", "focal length", "camera.Camera.focal", "(B,)", "px", CODE),
    Symbol("02", r"$c = (c_u, c_v)$", "principal point", "camera.Camera.principal_point", "(B, 2)", "px", CODE),
    Symbol("02", r"$u, v, z$", "column, row and depth of a point in the image", "camera.project", "(B, V, 3)", "px, px, mm"),
    Symbol("02", r"$e_k$", "edge functions of a triangle", "rasterizer.reference.edge_functions", "(…, 3)", "px²"),
    Symbol("02", r"$b_k$", "barycentric weights of a triangle", "rasterizer.Raster.barycentric", "(B, H, W, 3)", "–"),
    Symbol("02b", r"$n$", "unit normal, in viewer axes", "rendering.Rendering.normal", "(B, H, W, 3)", "–"),
    Symbol("02b", r"$a$", "albedo, the colour of the skin itself", "rendering.render(albedo)", "(B, V, 3)", "sRGB, 0–1"),
    Symbol("02b", r"$H_k(n)$", "spherical harmonics", "lighting.sh_basis", "(…, 9)", "–"),
    Symbol("02b", r"$L_k$", "light: coefficients of the harmonics", "rendering.render(light)", "(B, 9, 3)", "–"),
    Symbol("02b", r"$\psi$", "amount of light that the skin receives (irradiance), linear", "lighting.gamma_encode(light)", "(…)", "–"),
    Symbol("02b", r"$l$", "directions from the skin: to the lamp, to its mirror image, to the viewer", "lighting.PhongLight.towards", "(B, 3)", "–"),
    Symbol("02b", r"$k_\text{s}$", "specular strength of the skin", "lighting.PhongLight.specular", "(B,)", "–", CODE),
    Symbol("02b", r"$\kappa, g, o$", "contrast, gain and offset of the colours", "lighting.ColourTransform", "(B,), (B, 3), (B, 3)", "–", CODE),
    Symbol("02b", r"$A, D$", "ambient and diffuse light of a lamp", "lighting.PhongLight.ambient", "(B, 3)", "–", CODE),
    Symbol("03", r"$X_i$", "landmark $i$ on the model, model axes", "pose.estimate_pose(points_3d)", "(B, 68, 3)", "mm"),
    Symbol("03", r"$(u_i, v_i)$", "landmark $i$ as detected", "pose.estimate_pose(points_2d)", "(B, 68, 2)", "px", REPORTED),
    Symbol("03", r"$q_i$", "landmark $i$ in camera axes", "camera.model_to_camera", "(B, 68, 3)", "mm"),
    Symbol("03", "pitch, yaw, roll", "the rotation as three angles", "camera.Pose.euler", "(B, 3)", "radians", r"as reported, $r_\alpha, r_\beta, r_\gamma$ there"),
    Symbol("03", r"$s$", "scale of scaled orthography", "camera.OrthographicCamera.scale", "(B,)", "px/mm"),
    Symbol("03", r"$w_i$", "weight of landmark $i$", "pose.estimate_pose(weights)", "(B, 68)", "1/px², or relative"),
    Symbol("03", r"$J$", "derivatives of the projected landmarks by the pose", "pose.pose_jacobian", "(B, 68, 2, 6)", "px/rad, px/mm"),
    Symbol("03", r"$\Sigma$", "covariance of the six numbers of a pose", "pose.PoseEstimate.covariance", "(B, 6, 6)", "rad², rad mm, mm²"),
    Symbol("04", r"$\theta$", r"everything unknown: $\alpha$, $e$, $\beta$, pose, light", "fitting.FaceState", "(B, 261)", "mixed"),
    Symbol("04", r"$E$", "energy by iteration", "fitting.FitResult.energy", "one number a term", "–"),
    Symbol("04", r"$p_j - q_j$", "landmark $j$: projected minus detected", "fitting.landmark_term.landmark_offsets", "(B, 68, 2)", "px"),
    Symbol("04", r"$\sigma_j$", "how far a detector is off", "fitting.FitSettings.landmark_sigma", "a number", "px"),
    Symbol("04", r"$k$", "from how many standard deviations on a residual counts as an outlier", "fitting.FitSettings.landmark_robust", "a number", "–"),
    Symbol("04", r"$\Lambda, \theta_0$", "precision and mean of the prior", "fitting.prior_term.Prior", "(261, 261), (261,)", "per unit² of θ"),
    Symbol("04", r"$r_p$", "photograph minus model at surface point $p$", "fitting.pixel_term.Look.residual", "(B, P, 3)", "sRGB, 0–1", CODE),
    Symbol("04", r"$w_p$", "how far surface point $p$ is trusted", "fitting.pixel_term.Look.trust", "(B, P)", "–"),
    Symbol("04", r"$\phi$", "probability that a pixel shows the face", "fitting.FitResult.face_probability", "(B, H, W)", "–"),
    Symbol("04", r"$\sigma$", "size of an ordinary residual", "fitting.FitSettings.pixel_sigma", "a number", "sRGB, 0–1", CODE),
    Symbol("04", r"$N_\text{eff}$", "how many independent observations the pixels are worth", "fitting.FitSettings.n_effective", "a number", "–"),
    Symbol("04", r"$J$", r"derivatives of the weighted residuals by $\theta$", "fitting.residuals.Rows.jacobian", "(B, M, 261)", "per unit of θ"),
    Symbol("04", r"$H$", r"$J^\top J + \Lambda$, the energy's second derivatives, nearly", "fitting.energy.Equations.H", "(B, 261, 261)", "per unit² of θ"),
    Symbol("04b", r"$t_\text{2D}$", r"shift that all landmarks share, with $\sigma_\text{2D}$", "fitting.landmark_term.common_shift", "(B, 1, 2)", "px"),
    Symbol("04b", r"$W$", "colour of a white face in some light, mean over its skin", "fitting.light_models.FaceNormals.white", "(B, 3)", "sRGB, 0–1"),
    Symbol("04b", r"$\phi_0$", "share of the pixels within the model's outline that show the face", "fitting.face_mask.PRIOR", "a number", "–"),
    Symbol("04b", r"$c(x)$", "autocorrelation of the residual at the distance $x$ px", "fitting.residual_correlation.Noise.profile", "(B, 16)", "–"),
    Symbol("04b", r"$A$", r"area over which the residual hangs together; $N_\text{eff} = M/A$ for $M$ pixels", "fitting.residual_correlation.Noise.area", "(B,)", "px²"),
    Symbol("04b", r"$M$", "how many pixels the fit uses", "fitting.FitResult.pixel_weight", "a number", "–"),
    Symbol("04b", r"$d$", "mean error of the landmarks without the jaw, within the confidence", "fitting.confidence.LANDMARK_REACH", "a number", "percent"),
    Symbol("05", r"$\gamma_i = [\alpha_i, \beta_i]$", "coefficients of photograph $i$", "pooling.pool(coefficients)", "(N, 198)", "standard deviations", REPORTED),
    Symbol("05", r"$\gamma = \sum_i w_i \gamma_i$", "pooled coefficients of a person", "pooling.Pooled.coefficients", "(P, 198)", "standard deviations", REPORTED),
    Symbol("05", r"$w_i$", r"weight of a photograph, from the detector's confidence; $\sum_i w_i = 1$", "pooling.Pooled.weights", "(N,)", "–", REPORTED),
    Symbol("05", r"$\Sigma_i, \Lambda_i$", r"covariance that the fit of photograph $i$ states, and its inverse, the precision", "fitting.FitResult.covariance", "(B, 228, 228)", "standard deviations²"),
    Symbol("05", r"$L_i$", r"precision of the likelihood of photograph $i$, $\Lambda_i - I$", "pooling.pool(covariance)", "(99, 99)", "1/standard deviations²"),
    Symbol("05", r"$k$", r"how many photographs that err together count as one, $1 + (n - 1)\,\mathrm{corr}$", "pooling.pool(correlation)", "a number", "–"),
    Symbol("05", r"$\theta_i$", "what is photograph $i$'s own in a joint fit: expression, pose, light", "fitting.fit_person", "(B, 63)", "mixed"),
    Symbol("06", r"$x, f(x)$", "a photograph, and what a network predicts of it", "regression.network.FaceRegressor", "(B, S, S, 3), (B, 198)", "sRGB, standard deviations"),
    Symbol("06", r"$\gamma$", "target: shape and texture of a person", "regression.asymmetric_euclidean_loss(target)", "(B, 198)", "standard deviations", REPORTED),
    Symbol("06", r"$\gamma_p$", "prediction of the network", "regression.asymmetric_euclidean_loss(prediction)", "(B, 198)", "standard deviations", REPORTED),
    Symbol("06", r"$\lVert\gamma_p\rVert / \lVert\gamma\rVert$", "magnitude: length of the prediction over that of the target", "regression.metrics.magnitude_ratio", "(B,)", "–"),
    Symbol("06", r"$\cos(\gamma_p, \gamma)$", "whether the prediction points in the direction of the target", "regression.metrics.cosine", "(B,)", "–"),
    Symbol("06", r"$\lambda_1$", "weight of what lies beyond the target", "regression.AsymmetricEuclideanLoss(over)", "a number", "–", REPORTED),
    Symbol("06", r"$\lambda_2$", "weight of what stays short of it", "regression.AsymmetricEuclideanLoss(under)", "a number", "–", REPORTED),
    Symbol("06", r"$\eta$", "rate of the steps against the slope of the loss", "regression.TrainSettings.rate", "a number", "–", REPORTED),
    Symbol("06", r"$h$", "features: what a network's last layer gets", "regression.network.FaceRegressor(backbone)", "(B, 512) or (B, 2048), (B, 4390) of the encoder", "–"),
    Symbol("06", r"$z$", "features less their mean, in their standard deviations", "regression.least_squares.LinearMap.mean", "(B, 4390)", "–"),
    Symbol("06", r"$W, b$", r"last layer: $\gamma_p = W z + b$", "regression.least_squares.LinearMap.weight", "(198, 4390), (198,)", "standard deviations"),
    Symbol("06", r"$s$", "standard deviation of each feature", "regression.least_squares.LinearMap.deviation", "(4390,)", "–"),
    Symbol("06", r"$N$", "how many faces a layer learns from", "regression.least_squares.LeastSquares", "a number", "–"),
    Symbol("06", r"$\mu$", "shrinkage of ridge regression", "regression.least_squares.LinearMap.shrink", "a number", "–"),
    Symbol("07", r"$x_i$", "points of a scan within the crop", "evaluation.ScanError.query", "(N,), numbers of vertices", "–"),
    Symbol("07", r"$M$", "a reconstructed surface", "evaluation.Surface", "(V, 3), (F, 3)", "mm"),
    Symbol("07", r"$y_i$", "place on the moved model that is nearest to $x_i$", "evaluation.Nearest", "(N, 3)", "mm"),
    Symbol("07", r"$n_i$", "unit normal there", "evaluation.Nearest.normals", "(N, 3)", "–"),
    Symbol("07", r"$\omega, v$", "small turn and shift of the model in one round of ICP", "evaluation.IcpSettings.step", "(3,), (3,)", "rad, mm"),
    Symbol("07", r"$T$", "motion of the model onto a scan", "evaluation.Motion", "rotation, shift, size", "–, mm, –"),
    Symbol("07", "3DRMSE", "root mean square distance of a scan from a face", "evaluation.scan_error", "a number", "mm", REPORTED),
    Symbol("07", r"$d, d^*$", "depth of the face, and of the scan", "evaluation.depth_map", "(B, S, S)", "mm"),
    Symbol("07", r"$s$", "score of a pair: the cosine of its coefficients", "evaluation.Pairs.score", "(N,)", "–", REPORTED),
    Symbol("07", r"$\tau$", "threshold of the score", "evaluation.Roc.threshold", "(T,)", "–"),
)
# fmt: on

# Letters that stand in several notebooks, in the table or in a formula, and for what. One row a line, which names every notebook
# where the letter stands, or begins with "always".
# fmt: off
SEVERAL = {
    r"A": r"modes at the measured points, times their $\sigma$, in 01; ambient light of a lamp in 02b; area over which the residual hangs together in 04b",
    r"B": r"number of faces in a batch, in 01 and in all shapes; modes times their $\sigma$, $\bar S + B\alpha$, in 04b and 05",
    r"C": r"covariance: of heads and of lengths in 01, of coefficients in 04b; a colour in 02b",
    r"D": r"singular values on a diagonal in 01 and 03, a mirror or none in their place in 07; diffuse light of a lamp in 02b",
    r"E": r"modes $E_S$, $E_T$ in 00 and 01; with no such index the energy, in 04, 04b and 05",
    r"H": r"$H_k$ harmonics in 02b, 04 and 04b; with no index the energy's second derivatives, in 04 and 04b; sum of products of paired points in 07",
    r"I": r"the identity in 01, 03, 04, 04b, 05 and 06; $I_u$ value of pixel $u$ in 02b",
    r"J": r"always derivatives of residuals: by the pose in 03, by all numbers in 04, by a motion in 07",
    r"L": r"$L_k$ light in 02b, 04 and 04b; $L^*$ lightness of a colour in 04b; $L_i$ precision of a photograph's likelihood in 05; the loss in 06",
    r"M": r"matrix next to which a rotation is sought in 03, number of pixels in 04b, reconstructed surface in 07",
    r"N": r"number: of heads in 01, $N_\text{eff}$ of observations in 04 and 04b, of faces in 06, of points of a scan in 07; $N(0, I)$ normal distribution in 05",
    r"P": r"transport map between two Gaussians in 01, point of the face in 02",
    r"R": r"rotation in 01, 02, 02b, 03, 04 and 07; $R_b$ rows of a batch in 09",
    r"S": r"shape in 00, 01 and 05; singular values in 07",
    r"T": r"texture in 00 and 01, motion of the model onto a scan in 07",
    r"V": r"number of vertices in 01; singular vectors in 03 and 07",
    r"W": r"singular vectors in 01; weights of the points, and $W_m$ of a detector's stage, in 03; colour of a white face in 04b; weights of the network's last layer in 06",
    r"X": r"heads as rows in 01; $X, Y, Z$ point in camera axes in 02; $X_i$ landmark on the model in 03",
    r"Y": r"second number of a point in camera axes in 02, luminance in 02b",
    r"\Lambda": r"always a precision: of the prior in 04, of a fit in 05",
    r"\Sigma": r"always a covariance: of a pose in 03, of the coefficients of a fit in 05",
    r"\alpha": r"always shape coefficients; $r_\alpha$ is an angle in the paper",
    r"\beta": r"always texture coefficients; $r_\beta$ is an angle in the paper",
    r"\gamma": r"always shape and texture together: of a photograph and pooled in 05, target and prediction in 06, of a picture in 07",
    r"\lambda": r"always a weight: of the prior in 01 and 04, of the two sides of the loss in 06",
    r"\phi": r"always a probability that a pixel shows the face; $\phi_0$ its value before the photograph is seen, in 04b",
    r"\sigma": r"always a standard deviation: of modes in 00 and 01, of landmarks in 03 to 04b, of pixels in 04 and 04b, of a photograph's own error in 05",
    r"\theta": r"the six numbers of a pose in 03; everything unknown of a fit in 04 and 04b; $\theta_i$ only what is photograph $i$'s own in 05",
    r"\varepsilon": r"always an error: of detected points in 03, of one photograph alone in 05",
    r"a": r"albedo in 02b, 04 and 04b; $a_i$ point that is to be moved onto $b_i$ in 07",
    r"b": r"what is to be met by least squares in 01, barycentric weights in 02, $b^*$ yellow of a colour in 04b, error that a person's photographs share in 05, offset of the network's last layer in 06, $b_i$ goal of point $a_i$ in 07, number of a batch in 09",
    r"c": r"principal point in 02 and 03; $c(x)$ autocorrelation of the residual in 04b, as an index a colour channel there; weight to learn in 06",
    r"d": r"singular values in 01, direction of a ray in 02, a step in 02b and 07, derivatives of a pixel's place in 03; offsets $d_j$ of landmarks, and their mean error in percent, in 04b; depth in 07",
    r"e": r"expression in 01 and 04, $e_k$ edge functions in 02, Euler's number in 04b, $e_n$ error of averages in 05",
    r"f": r"focal length in 02 and 03; as a function, $f(x)$, a network in 06, and all that is done to a batch in 09",
    r"g": r"goal of an alignment in 01, three numbers of a plane in 02, gain of a colour channel in 02b",
    r"h": r"place of an edge in 02b, answers of a detector's stage in 03, features in 06",
    r"i": r"always an index: of a landmark or a point, of a photograph in 05",
    r"k": r"number of modes kept in 01; number of an edge in 02, of a harmonic in 02b, of a row of $W$ in 06; $k_\text{s}$ specular strength in 02b; robust scale in 03, 04 and 04b; photographs that count as one in 05",
    r"m": r"value on a plane in 02; number of a detector's stage, and $m_1, m_2$ rows of $M$, in 03; cross product of two edges, before it is a unit normal, in 04",
    r"n": r"unit normal in 02b, 04, 04b and 07; number of photographs in 05, of workers in 09; as an index, the number of a face in 06",
    r"p": r"probability density in 01, corner of a triangle in 02, turned point in 03; $p_j$ landmark of the model, and as an index a surface point, in 04 and 04b; prediction in 06",
    r"q": r"corner of a triangle in 02, landmark in camera axes in 03, detected landmark in 04 and 04b",
    r"r": r"always a residual; $r_\alpha, r_\beta, r_\gamma$ are angles in the paper, and `r` is a correlation in the code of 01",
    r"s": r"scale in 03, deviation of features and noise of one number in 06, score of a pair in 07",
    r"t": r"translation of the head in 02, 03 and 04; $t_\text{2D}$ shift of points in 04b; target of one number in 06",
    r"u": r"always a column of the image",
    r"v": r"row of the image in 02, 03 and 04; variance in 05, that is not explained in 06; shift of the model in a round of ICP in 07",
    r"w": r"always a weight: of landmarks in 03, of surface points in 04, of photographs in 05",
    r"x": r"head to be turned in 01; pixel in 02; axis in 01, 02 and 02b; squared residual, and coefficients before a step, in 04; distance of two pixels, and a vertex, in 04b; photograph in 06; points of a scan in 07",
    r"y": r"measured offsets in 01; axis in 01, 02 and 02b; colour in the photograph, $\hat y$ as drawn, in 04b; measurements in 05; place on the model nearest to $x$ in 07",
    r"z": r"axis in 01, 02 and 02b; depth in 02 and 03; $z^2$ square of an error in stated standard deviations, in 05; standardised features in 06",
}
# fmt: on

# Letters that stand in several notebooks and mean the same in all.
ALIKE = {
    r"F": "flip of the axes",
    r"U": "singular vectors",
    r"\mu": "weight of a ridge regression's penalty",
    r"\rho": "robust function",
    r"\psi": "light that the skin receives",
    r"\omega": "small turn",
}


def letters(text: str) -> set[str]:
    """The letters of the formulas of a text in TeX, without indices, accents and words."""
    formulas = " ".join(re.findall(r"\$+([^$]+)\$+", text))
    words = r"\\(?:text|mathbb|mathcal|mathrm|operatorname|begin|end)(?![a-z])\s*(?:\{[^}]*\}|\w)"
    indices = r"[_^]\s*(?:\{(?:[^{}]|\{[^}]*\})*\}|\\[A-Za-z]+|\*|\w)"
    bare = re.sub(words, " ", re.sub(indices, " ", re.sub(r"[_^]\s*" + words, " ", formulas)))
    tokens = re.findall(r"\\[A-Za-z]+|[A-Za-z]", bare)
    return {token for token in tokens if len(token) == 1 or token[1:].lower() in GREEK}
