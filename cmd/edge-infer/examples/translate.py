# One process translates many lines: the model is loaded once, and each line is answered before the next is sent.
import json
import subprocess

edge = subprocess.Popen(["edge-infer", "translate", "--json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8", bufsize=1)
for line in ["我正在吃饭", "谢谢"]:
    edge.stdin.write(line + "\n")
    answer = json.loads(edge.stdout.readline())
    print(answer["source"], "=", answer["text"], f'({answer["milliseconds"]:.1f} ms)')
edge.stdin.close()
edge.wait()
