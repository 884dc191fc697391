"""Times `cam bench` beside onnxruntime: the same ONNX file, the same threads, in turn, in one run.

    pip install onnxruntime numpy
    cargo build --release
    python benches/compare_onnxruntime.py resnet50.onnx vit.onnx

Files have one input, images with a free batch size. It prints one markdown table: medians of the rounds, and the median of the ratio of
each round. A ratio below 1 means that this library is faster.
"""

import argparse
import json
import os
import statistics
import subprocess
import time
from pathlib import Path

import numpy
import onnxruntime

ROOT = Path(__file__).parents[1]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--cam", type=Path, default=ROOT / "target" / "release" / "cam", help="the tool")
    parser.add_argument("--batch", nargs="+", type=int, default=[1], metavar="N")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=15, help="how often each is measured in a round")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    return parser.parse_args()


def theirs(session, batch, repeat):
    port = session.get_inputs()[0]
    images = numpy.random.default_rng(0).standard_normal([batch, *port.shape[1:]], dtype="f4")
    seconds = []
    for _ in range(repeat):
        start = time.perf_counter()
        session.run(None, {port.name: images})
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def ours(options, file, batch):
    command = [options.cam, "bench", "--model", file, "--batch", str(batch), "--repeat", str(options.repeat), "--json"]
    environment = os.environ | {"RAYON_NUM_THREADS": str(options.threads)}
    row = json.loads(subprocess.run(command, capture_output=True, check=True, env=environment).stdout)[0]
    return row["forward"], row["explain"]


def main():
    options = arguments()
    print("| file, batch | this library, ms | onnxruntime, ms | ratio | Grad-CAM / inference here |\n|---|---|---|---|---|")
    for file in options.files:
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = options.threads
        session = onnxruntime.InferenceSession(file, settings, providers=["CPUExecutionProvider"])
        for batch in options.batch:
            rounds = [(*ours(options, file, batch), theirs(session, batch, options.repeat)) for _ in range(options.rounds)]
            here, _, there = (1e3 * statistics.median(column) for column in zip(*rounds))
            ratio = statistics.median(forward / other for forward, _, other in rounds)
            share = statistics.median(explain / forward for forward, explain, _ in rounds)
            print(f"| `{file.stem}`, {batch} | {here:.1f} | {there:.1f} | {ratio:.2f} | {share:.2f} |", flush=True)


main()
