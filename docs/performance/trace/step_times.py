"""What each kernel of the last whole step of a trace (kernel_trace.cpp) adds to the end of the one ahead.

    python3 step_times.py trace.txt
"""
import collections
import re
import sys

FIRST_OF_A_STEP = "embedding_gather"
Kernel = collections.namedtuple("Kernel", "name start end ctas threads")


def read(path):
    kernels = []
    with open(path) as lines:
        for line in lines:
            name, *numbers = line.rstrip("\n").split("\t")
            match = re.match(r"_ZN5fireq\d+([a-z0-9_]+?)I", name)
            kernels.append(Kernel(match.group(1) if match else name, *map(int, numbers)))
    return sorted(kernels, key=lambda kernel: kernel.start)


def main():
    kernels = read(sys.argv[1])
    starts = [i for i, kernel in enumerate(kernels) if kernel.name == FIRST_OF_A_STEP]
    if len(starts) < 2:
        sys.exit("step_times: %s has no whole step, which begins with %s" % (sys.argv[1], FIRST_OF_A_STEP))
    first, behind = starts[-2], starts[-1]
    step = kernels[first:behind]
    print("%d kernels in %.1f us" % (len(step), (kernels[behind].start - step[0].start) * 1e-3))
    print("%-28s %6s %8s %6s %12s %12s %12s" % ("kernel", "CTAs", "threads", "times", "us each", "us added", "us in all"))
    groups = collections.defaultdict(list)
    ahead = step[0].start
    for kernel in step:
        groups[kernel.name, kernel.ctas, kernel.threads].append((kernel.end - kernel.start, kernel.end - ahead))
        ahead = max(ahead, kernel.end)
    for (name, ctas, threads), times in sorted(groups.items(), key=lambda group: -sum(t[1] for t in group[1])):
        each, added = (sum(column) / len(times) * 1e-3 for column in zip(*times))
        print("%-28s %6d %8d %6d %12.2f %12.2f %12.1f" % (name, ctas, threads, len(times), each, added, added * len(times)))


main()
