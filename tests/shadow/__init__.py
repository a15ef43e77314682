"""The code for CUDA, held to a test on machines without a GPU.

On a *shadow* of a GPU, tensors say that they are on cuda:0, hold a tensor of the CPU, and refuse what CUDA refuses: to meet a
tensor of the CPU, to become an array of numpy, a generator of another device. Warp's launches are checked alike, and done on
the CPU. So the branches that only CUDA takes are run, and a forgotten `device=` or `.to(…)` is found.

What it cannot show: streams, races, memory, rounding of CUDA's kernels, speed. A device other than cuda:0 is not modelled.

- `guard.cpp` gives torch's C++ part what a build without CUDA lacks; `test_shadow` compiles it.
- `device` is the shadow, its rules, and a count of launches and of what would make the host wait. It must be imported before torch.
- `scenes` are functions of a device: `test_shadow` runs each on both, and the results must agree.
- `costs` counts launches and waits of a fit, a step of training and more: `test_shadow` holds them to bounds.
- `python -m tests.shadow.mutations` takes a `device=` or `.to(…)` out of helpers/ and looks whether a scene notices.
"""
