# Exercises of notebook 09. `make notebooks` writes its stubs, checks and folded solutions from here.


# %% exercise: What is left to do (easy, 10 minutes) after "Killed in front of you"
# A source has `total` photographs, a shard holds `size` of them, and `done` is the set of shard numbers on the disk. Write
# `left(total, size, done)`: the places (a list of whole numbers, in order) that a resumed run must fit.


# %% given
from helpers import show


# %% solution
def left(total, size, done):
    ### BEGIN SOLUTION a list of places
    return [place for place in range(total) if place // size not in done]
    ### END SOLUTION


# %% check
def check_left(left):
    show.expect(left(4, 2, set()), [0, 1, 2, 3], "nothing done")
    show.expect(left(7, 3, {0, 1}), [6], "the last shard is short")
    show.expect(left(7, 3, {2, 0}), [3, 4, 5], "a gap in the middle, as workers leave it")
    show.expect(list(left(6, 3, {0, 1})), [], "all done")


show.check(check_left, left)


# %% hint
# To which shard does a place belong?


# %% hint
# `place // size`.


# %% mistakes
def counts_shards_as_if_in_order(total, size, done):
    return list(range(len(done) * size, total))


def forgets_the_short_one(total, size, done):
    return [place for place in range(total // size * size) if place // size not in done]


# %% exercise: Who waits for whom (medium, 10 minutes) after "Half a million"
# A GPU fits `fit_rate` photographs a second. Reading, detecting and cropping one takes `seconds` of one CPU core. Write
# `hours(photographs, gpus, fit_rate, cores, seconds)`: how long the whole takes, when cores and GPUs work at the same time.


# %% given
from helpers import show


# %% solution
def hours(photographs, gpus, fit_rate, cores, seconds):
    ### BEGIN SOLUTION a number of hours
    slower = min(gpus * fit_rate, cores / seconds)
    return photographs / slower / 3600
    ### END SOLUTION


# %% check
def check_hours(hours):
    show.expect(hours(3600, 1, 1.0, 100, 0.1), 1.0, "1 photograph a second, and cores to spare")
    show.expect(
        hours(36000, 1, 1000.0, 1, 0.1), 1.0, "one core that detects 10 a second, and a GPU that waits"
    )
    show.expect(hours(36000, 10, 1000.0, 1, 0.1), 1.0, "ten GPUs that wait")
    show.expect(hours(72000, 2, 10.0, 2, 0.1), 1.0, "both are as fast")


show.check(check_hours, hours)


# %% hint
# How many photographs a second can the GPUs fit, how many can the cores prepare?


# %% hint
# The smaller of the two rates decides.


# %% mistakes
def one_after_the_other(photographs, gpus, fit_rate, cores, seconds):
    return photographs * (1 / (gpus * fit_rate) + seconds / cores) / 3600


def gpus_only(photographs, gpus, fit_rate, cores, seconds):
    return photographs / (gpus * fit_rate) / 3600


# %% exercise: Find the poison (medium, 20 minutes) after "A photograph that kills"
# `dies(places)` tells whether a worker dies of a batch of photographs. Each call may cost a worker, so calls are dear. Write
# `poison(places, dies)`: the sorted list of those places that kill by themselves, with far fewer calls than places when only
# one of 64 is bad.


# %% given
from helpers import show


# %% solution
def poison(places, dies):
    ### BEGIN SOLUTION a sorted list of places
    if not places or not dies(places):
        return []
    if len(places) == 1:
        return list(places)
    half = len(places) // 2
    return sorted(poison(places[:half], dies) + poison(places[half:], dies))
    ### END SOLUTION


# %% check
def check_poison(poison):
    def found(places, bad):
        calls = []

        def dies(some):
            calls.append(len(some))
            return bool(bad & set(some))

        return poison(places, dies), len(calls)

    show.expect(found([5], {5})[0], [5], "one photograph, and it kills")
    show.expect(found([5], set())[0], [], "one photograph, and it does not")
    show.expect(found(list(range(16)), {3, 4, 15})[0], [3, 4, 15], "three of sixteen")
    show.expect(found([], set())[0], [], "an empty batch")
    answer, calls = found(list(range(64)), {41})
    show.expect(answer, [41], "one of 64")
    show.expect_below(calls, 20, "one of 64: calls")


show.check(check_poison, poison)


# %% hint
# Ask for all. If none dies, you know much with one call.


# %% hint
# If it dies, ask for each half by itself.


# %% mistakes
def stops_at_the_first(places, dies):
    if not places or not dies(places):
        return []
    if len(places) == 1:
        return list(places)
    half = len(places) // 2
    return stops_at_the_first(places[:half], dies) or stops_at_the_first(places[half:], dies)


def one_by_one(places, dies):
    return [place for place in places if dies([place])]
