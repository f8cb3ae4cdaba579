"""Draws log.csv files, one after the other, as an SVG: what a piece costs in training and on dev, and BLEU on 100 dev sentences.

curve.py FIRST/log.csv SECOND/log.csv THIRD/log.csv > curve.svg
"""
import csv
import sys

W, H, LEFT, RIGHT, TOP, BOTTOM = 720, 320, 48, 48, 28, 40
COLOURS = {"train_nll": "#888888", "dev_nll": "#1f6fb4", "dev_tatoeba100_bleu": "#c0562b"}
NAMES = {"train_nll": "training loss (smoothed)", "dev_nll": "dev loss, nats a piece", "dev_tatoeba100_bleu": "BLEU, 100 dev.tatoeba sentences (right)"}


def main():
    series, cuts, done = {k: [] for k in COLOURS}, [], 0
    for path in sys.argv[1:]:
        with open(path, newline="") as f:
            rows = list(csv.DictReader(f))
        for r in rows:
            for k in series:
                series[k].append((done + int(r["step"]), float(r[k])))
        done += int(rows[-1]["step"])
        cuts.append(done)
    loss_max = 6.5
    bleu_max = 30.0
    x = lambda step: LEFT + (W - LEFT - RIGHT) * step / done
    y = lambda v, top: TOP + (H - TOP - BOTTOM) * (1 - min(v, top) / top)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{W}" height="{H}" viewBox="0 0 {W} {H}" font-family="sans-serif" font-size="11">',
           f'<rect width="{W}" height="{H}" fill="#ffffff"/>']
    for i in range(7):
        out.append(f'<line x1="{LEFT}" x2="{W - RIGHT}" y1="{y(i, loss_max):.1f}" y2="{y(i, loss_max):.1f}" stroke="#e4e4e4"/>'
                   f'<text x="{LEFT - 6}" y="{y(i, loss_max) + 4:.1f}" text-anchor="end">{i}</text>')
    for i in range(0, 31, 5):
        out.append(f'<text x="{W - RIGHT + 6}" y="{y(i, bleu_max) + 4:.1f}" fill="{COLOURS["dev_tatoeba100_bleu"]}">{i}</text>')
    for step in range(0, done + 1, 5000):
        out.append(f'<text x="{x(step):.1f}" y="{H - BOTTOM + 16}" text-anchor="middle">{step:,}</text>')
    out.append(f'<text x="{W / 2}" y="{H - 6}" text-anchor="middle">steps</text>')
    for cut, stage in zip(cuts, ("second", "third")):
        out.append(f'<line x1="{x(cut):.1f}" x2="{x(cut):.1f}" y1="{TOP}" y2="{H - BOTTOM}" stroke="#bbbbbb" stroke-dasharray="3 3"/>'
                   f'<text x="{x(cut) + 4:.1f}" y="{H - BOTTOM - 6}" fill="#888888">{stage} stage</text>')
    for i, (k, points) in enumerate(series.items()):
        top = bleu_max if "bleu" in k else loss_max
        out.append(f'<polyline fill="none" stroke="{COLOURS[k]}" stroke-width="1.8" points="' + " ".join(f"{x(s):.1f},{y(v, top):.1f}" for s, v in points) + '"/>')
        out.append(f'<text x="{LEFT + 10 + 215 * i}" y="16" fill="{COLOURS[k]}">{NAMES[k]}</text>')
    print("\n".join(out + ["</svg>"]))


if __name__ == "__main__":
    main()
