"""Builds the open face model from the CC0 MakeHuman / MPFB2 data. Run it by `python -m helpers.model_builder`.

wheel → template (crop, patches, lips) → people → statistics (Procrustes, PCA) ┐
                    └ regions, landmarks → skin (anatomy, occlusion, paint)    ├ asset → pictures
                    └ expressions ─────────────────────────────────────────────┘
"""
