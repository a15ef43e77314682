"""`make gpu`: everything that only a machine with an NVIDIA GPU can show, in one command of at most six minutes, offline.

- `scenes` runs the scenes of `tests.shadow` on the GPU against the CPU, each within a stated tolerance.
- The tests marked `gpu` run, and NVIDIA's compute-sanitizer watches one scene where it is installed.
- `bench` takes the time of the rasteriser, the fit, labels and a training step, at batches of 1 to 512.

Writes build/gpu.json, and prints it as a table. `--device cpu --quick` tries the command itself where there is no GPU.
"""
