"""From the paper to the notebook, the function and the test: one row for each thing that the paper does."""

from __future__ import annotations

from dataclasses import dataclass

REPORTED, CODE, ANSWER = "reported", "authors' code", "authors' answer"


@dataclass(frozen=True)
class Step:
    """One thing that the paper does.

    Attributes:
        what: in words.
        source: REPORTED; CODE where it was read in the authors' released code; ANSWER where they wrote it to who had asked.
        notebook: where the course teaches it.
        heading: the beginning of the heading there.
        functions: dotted names below `helpers`.
        tests: "file::test", files without "tests/" and ".py".
    """

    what: str
    source: str
    notebook: str
    heading: str
    functions: tuple[str, ...]
    tests: tuple[str, ...]


# One row a line.
# fmt: off
STEPS = (
    Step(
        "a face is a mean plus 99 shape and 99 texture modes, with a normal prior", REPORTED, "01", "Theory",
        ("face_model.load", "face_model.MorphableModel"), ("face_model/test_face_model::test_shape_is_affine_in_its_coefficients",),
    ),
    Step(
        "the Basel Face Model's file", REPORTED, "01", "Explore it",
        ("face_model.load", "face_model.how_to_get"), ("face_model/test_formats::test_shape_in_millimetres",),
    ),
    Step(
        "expression is estimated with the pose and kept out of the 198 numbers", CODE, "01", "Build it",
        ("face_model.MorphableModel.shape",), ("face_model/test_face_model::test_expression_modes_span_what_units_do",),
    ),
    Step(
        "pinhole camera, focal length 1000 px, principal point in the middle", CODE, "02", "Build it",
        ("camera.Camera.default", "camera.project"), ("test_camera::*",),
    ),
    Step(
        "a renderer with ambient light, one lamp, a fixed highlight and a shadow test", CODE, "02b", "One lamp with a highlight: Phong",
        ("lighting.PhongLight", "lighting.shade_phong", "rendering.cast_shadows"),
        ("lighting/test_lighting::test_phong_by_hand", "rendering/test_rendering::test_a_small_square_throws_its_shadow_on_a_large_one"),
    ),
    Step(
        "contrast, gain and offset of the colours", CODE, "02b", "The colour transform",
        ("lighting.ColourTransform",), ("lighting/test_lighting::test_the_colour_transform_by_hand",),
    ),
    Step(
        "68 landmarks and one confidence from the CLNF detector", REPORTED, "03", "Correspondence",
        ("landmarks.detect", "landmarks.landmarks_for"), ("landmarks/test_backends::*",),
    ),
    Step(
        "the pose: three angles and a translation from the landmarks", REPORTED, "03", "Perspective by Gauss–Newton",
        ("pose.estimate_pose",), ("pose/test_pose::test_exact_points_give_the_exact_pose", "pose/test_pose::test_robust_weights_survive_wrong_points"),
    ),
    Step(
        "EPnP with RANSAC as the start", CODE, "03", "Build it",
        ("pose.epnp_pose", "pose.estimate_pose(ransac)"),
        ("pose/test_closed_form::test_epnp_and_dlt_are_exact_without_noise", "pose/test_closed_form::test_ransac_finds_the_pose_among_gross_outliers"),
    ),
    Step(
        "the far side of the jaw is dropped beyond 18° of yaw", CODE, "03", "Explore it",
        ("pose.far_jaw", "pose.estimate_pose(far_side)"), ("pose/test_pose::test_far_jaw_is_dropped_beyond_18_degrees",),
    ),
    Step(
        "the crop of the network: a square of fixed reach around the landmarks", CODE, "03", "On a photograph",
        ("crop.authors_crop",), ("test_crop::test_the_square_reaches_as_far_as_the_authors_factors_say",),
    ),
    Step(
        "a fit to each photograph: landmarks, edges, pixels and the prior", REPORTED, "04", "Theory",
        ("fitting.fit", "fitting.FitSettings"), ("fitting/test_fit::test_error_is_under_half_the_mean_faces", "fitting/test_fit::test_pixels_improve_on_landmarks"),
    ),
    Step(
        "edge term on the outline's distance to Canny edges, at most 10 px; edges of the texture have weight 0", CODE, "04", "Edges",
        ("fitting.edge_term.edge_map", "fitting.edge_term.edge_points(texture_edges)"), ("fitting/test_edge_term::test_the_distance_to_a_circle_is_known",),
    ),
    Step(
        "light by ambient, one lamp with a fixed highlight, and colours by contrast, gain and offset: 15 numbers", CODE, "04", "The released fitter",
        ("fitting.FitSettings.light_model", "fitting.FitSettings.lamp_prior"),
        (
            "fitting/test_lamp::test_lamp_colours_are_those_of_the_renderer", "fitting/test_lamp::test_lamp_slopes_are_torchs_own",
            "fitting/test_released::test_light_and_pose_are_held_as_in_the_released_code",
        ),
    ),
    Step(
        "roots of means times factors; colours that count quadratically up to 20 grey levels and linearly beyond; four stages", CODE, "04", "The released fitter",
        ("fitting.FitSettings.released", "fitting.residuals.rooted", "fitting.settings.Stage"),
        (
            "fitting/test_released::test_each_term_is_that_of_the_released_code", "fitting/test_lamp::test_huber_is_quadratic_and_then_linear",
            "fitting/test_lamp::test_the_released_fitter_recovers_known_faces",
        ),
    ),
    Step(
        "the released fitter keeps shape and texture within ±4 and expression (29 numbers) within ±3", CODE, "04", "The released fitter",
        ("fitting.settings.Limits",), ("fitting/test_lamp::test_the_released_fitter_recovers_known_faces",),
    ),
    Step(
        "labels lie within ±3; the method of the labels was simpler than Romdhani and Vetter's", ANSWER, "04", "The released fitter",
        ("fitting.FitSettings.released",), ("fitting/test_lamp::test_the_released_fitter_recovers_known_faces",),
    ),
    Step(
        "stochastic Newton on random triangles", CODE, "04", "A race",
        ("fitting.solvers.stochastic_newton", "fitting.solvers.gauss_newton"),
        ("fitting/test_solvers::test_stochastic_newton_comes_down_on_random_points",),
    ),
    Step(
        "pooling the photographs of a person, weighted by the detector's confidence", REPORTED, "05", "Theory",
        ("pooling.pool",), ("test_pooling::test_rules_agree_with_a_loop_over_people",),
    ),
    Step(
        "robust within a person, discriminative between people", REPORTED, "05", "Robust and discriminative",
        ("pooling.pool", "evaluation.compare_methods.spread"), ("evaluation/test_compare_methods::test_spread_counts_every_pair_once",),
    ),
    Step(
        "the asymmetric Euclidean loss, 1 beyond the target and 3 short of it", REPORTED, "06", "Theory",
        ("regression.AsymmetricEuclideanLoss",), ("regression/test_loss::test_cases_by_hand", "regression/test_loss::test_the_gradient"),
    ),
    Step(
        "ResNet-101 trained for face recognition, its last layer replaced by 198 outputs", REPORTED, "06", "The real network",
        ("regression.build_network",), ("regression/test_network::test_networks_say_as_many_numbers_as_asked",),
    ),
    Step(
        "batches of 144, momentum 0.9, weight decay 5e-4, rate 0.01, a tenth of it below the last layer, divided by 10 when the validation loss stalls", REPORTED, "06", "The full training",
        ("regression.PRESETS", "regression.train"), (
            "regression/test_settings::test_the_paper_preset_is_what_the_course_tells_of_the_paper", "regression/test_training::test_the_papers_rate_wants_the_mean_over_the_coefficients",
            "regression/test_distributed::test_two_processes_train_like_one",
        ),
    ),
    Step(
        "the error of a shape in millimetres after alignment", REPORTED, "07", "Theory",
        ("evaluation.shape_rmse", "evaluation.align_similarity"), ("evaluation/test_shape::test_agrees_with_roma",),
    ),
    Step(
        "3DRMSE after rigid ICP, within 95 mm of the tip of the nose", REPORTED, "07", "3DRMSE, by the protocol",
        ("evaluation.scan_error", "evaluation.Protocol", "evaluation.icp"),
        ("evaluation/test_scan::test_icp_finds_a_known_motion", "evaluation/test_scan::test_spheres_differ_by_their_radii"),
    ),
    Step(
        "errors of depth maps: RMSE, log10, Rel", REPORTED, "07", "Depth maps",
        ("evaluation.depth_map", "evaluation.depth_errors"), ("evaluation/test_measures::test_two_plates_differ_by_their_distance",),
    ),
    Step(
        "recognition by the cosine of coefficients, with LFW's pairs", REPORTED, "07", "Do the numbers know their person",
        ("evaluation.represent", "evaluation.verify", "evaluation.read_pairs"),
        ("evaluation/test_recognition::test_the_curve_is_that_of_scikit_learn", "evaluation/test_recognition::test_pairs_of_lfw_are_read_as_they_are_written"),
    ),
    Step(
        "about half a million photographs are labelled", REPORTED, "09", "The real one",
        ("labelling.label", "labelling.pool_shards"),
        ("labelling/test_labelling::test_rows_are_the_fit", "labelling/test_labelling::test_killed_at_twenty_random_moments", "labelling/test_sources::test_pooling_shards_is_pooling_rows"),
    ),
)
# fmt: on
