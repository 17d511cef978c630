"""Draws the contest: time over positions, and memory over positions. SVG, with what was measured as JSON on stdin."""

import json
import sys

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams.update({"svg.hashsalt": "recon-core", "svg.fonttype": "none", "font.size": 9})

from matplotlib import pyplot as plt  # noqa: E402 - what draws is chosen first

PANELS = {"wall": "seconds, whole process", "memory": "peak memory, MB"}


def main() -> None:
    """``{figure: {contestant: [[positions, value], ...]}}``, to the file that is named."""
    measured = json.load(sys.stdin)
    figure, axes = plt.subplots(1, len(PANELS), figsize=(9, 3.8), layout="constrained")
    for axis, (name, label) in zip(axes, PANELS.items(), strict=True):
        for contestant, points in measured[name].items():
            own = {"color": "black", "linewidth": 2} if contestant == "recon-core" else {"linewidth": 1}
            axis.plot(*zip(*points, strict=True), marker="o", markersize=3, label=contestant, **own)
        axis.set(xscale="log", yscale="log", xlabel="positions a side", ylabel=label)
        axis.grid(visible=True, which="both", linewidth=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    figure.savefig(sys.argv[1], metadata={"Date": None})


if __name__ == "__main__":
    main()
