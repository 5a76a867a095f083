"""Times what FireQ is compared with, through torch: bf16 and FP8 products (cuBLAS, cuBLASLt) and bf16 attention (cuDNN).

    python3 baselines.py [--heads 32 --kv-heads 8 --head-dim 128 --millis 150] [SHAPE ...]

A shape is "gemm MxNxK" or "attention BxS" (B causal prompts of S tokens); without any, those of Llama-3-8B. Many launches
are recorded as a CUDA graph whose replays are timed with CUDA events; products go round copies of their weight that
together exceed three times the L2 cache. The last line of the output is a JSON object: medians in microseconds by shape.
"""
import argparse
import json
import statistics
import sys

MAX_LAUNCHES = 64
SAMPLE_MILLIS = 2.0
MIN_SAMPLES = 5
MAX_SAMPLES = 200
CACHE_MULTIPLE = 3
LLAMA3_8B = [f"gemm {m}x{n}x{k}" for n, k in ((6144, 4096), (4096, 4096), (28672, 4096), (4096, 14336))
             for m in (1, 16, 64, 256, 1024, 4096, 16384)]
LLAMA3_8B += [f"attention {b}x{s}" for b, s in ((16, 1024), (1, 2048), (4, 4096), (1, 8192), (1, 32768))]


def median_micros(torch, launch, millis):
    """Device time of one launch(i), without the host's share."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))

    def sample(work):
        start.record()
        work()
        end.record()
        end.synchronize()
        return start.elapsed_time(end)

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # what a library sets up at its first call cannot be recorded
        for i in range(3):
            launch(i)
    torch.cuda.current_stream().wait_stream(side)
    once = sample(lambda: launch(1))
    launches = int(max(1, min(MAX_LAUNCHES, SAMPLE_MILLIS / max(once, 1e-3))))

    def all_launches():
        for i in range(launches):
            launch(i)

    try:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            all_launches()
        work = graph.replay
    except RuntimeError as error:
        print(f"not recorded, timed launch by launch: {error}", file=sys.stderr)
        torch.cuda.synchronize()
        work = all_launches
    work()
    times = []
    while len(times) < MIN_SAMPLES or (sum(times) < millis and len(times) < MAX_SAMPLES):
        times.append(sample(work))
    return statistics.median(times) * 1e3 / launches


def gemm(torch, m, n, k, millis):
    """y[m, n] = x[m, k] times the transpose of w[n, k], in bf16 and with both operands in e4m3."""
    cache = torch.cuda.get_device_properties(0).L2_cache_size
    result = {"bf16_us": None, "fp8_us": None}
    x = torch.randn(m, k, device="cuda", dtype=torch.bfloat16)
    copies = 1 + CACHE_MULTIPLE * cache // (2 * n * k)
    weights = [torch.randn(n, k, device="cuda", dtype=torch.bfloat16) for _ in range(copies)]
    result["bf16_us"] = median_micros(torch, lambda i: torch.mm(x, weights[i % copies].t()), millis)
    fp8 = torch.float8_e4m3fn
    copies8 = 1 + CACHE_MULTIPLE * cache // (n * k)
    weights8 = [weights[i % copies].to(fp8) for i in range(copies8)]
    del weights
    one = torch.ones((), device="cuda")
    for rows in (m, max(m, 16)):  # some versions want 16 rows at least
        x8 = torch.randn(rows, k, device="cuda", dtype=torch.bfloat16).to(fp8)
        try:
            result["fp8_us"] = median_micros(torch, lambda i: torch._scaled_mm(
                x8, weights8[i % copies8].t(), scale_a=one, scale_b=one, out_dtype=torch.bfloat16,
                use_fast_accum=True), millis)
            break
        except RuntimeError as error:
            print(f"FP8 with {rows} rows: {error}", file=sys.stderr)
    return result


def attention(torch, batch, length, heads, kv_heads, head_dim, millis):
    """Causal attention with grouped K and V heads, by cuDNN."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    shape = (length, head_dim)
    q = torch.randn(batch, heads, *shape, device="cuda", dtype=torch.bfloat16)
    k, v = (torch.randn(batch, kv_heads, *shape, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    try:
        with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
            return {"cudnn_us": median_micros(torch, lambda i: torch.nn.functional.scaled_dot_product_attention(
                q, k, v, is_causal=True, enable_gqa=True), millis)}
    except RuntimeError as error:
        print(f"cuDNN attention: {error}", file=sys.stderr)
        return {"cudnn_us": None}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shapes", nargs="*", metavar="SHAPE")
    parser.add_argument("--heads", type=int, default=32)
    parser.add_argument("--kv-heads", type=int, default=8)
    parser.add_argument("--head-dim", type=int, default=128)
    parser.add_argument("--millis", type=float, default=150, help="time to spend on each measurement, about")
    options = parser.parse_args()
    try:
        import torch
    except ImportError as error:
        print(json.dumps({"unavailable": f"{sys.executable} has no torch ({error})"}))
        return
    if not torch.cuda.is_available():
        print(json.dumps({"unavailable": f"torch {torch.__version__} sees no GPU"}))
        return
    torch.manual_seed(0)
    lines = {}
    with torch.inference_mode():
        for shape in options.shapes or LLAMA3_8B:
            kind, sizes = shape.split()
            sizes = [int(size) for size in sizes.split("x")]
            if kind == "gemm":
                lines[shape] = gemm(torch, *sizes, options.millis)
            else:
                lines[shape] = attention(torch, *sizes, options.heads, options.kv_heads, options.head_dim, options.millis)
            print(shape, lines[shape], file=sys.stderr)
            torch.cuda.empty_cache()
    setting = f"torch {torch.__version__}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}, " \
              f"{torch.cuda.get_device_name()}"
    print(json.dumps({"setting": setting, "lines": lines}))


if __name__ == "__main__":
    main()
