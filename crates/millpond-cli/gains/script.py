import json
import re

rows = [{"id": i, "name": "name %d" % (i * 7919 % 10007), "tags": [str(i % 7), str(i % 11)]} for i in range(20000)]
text = json.dumps(rows)
total = 0
for turn in range(5):
    loaded = json.loads(text)
    groups = {}
    for row in loaded:
        groups.setdefault(row["name"], []).append((row["id"], tuple(row["tags"])))
    words = [re.sub(r"\d", lambda m: chr(97 + int(m.group())), row["name"]).split(" ") for row in loaded]
    total += sum(len(group) for group in groups.values()) + len({word[1] for word in words})
print(total)
