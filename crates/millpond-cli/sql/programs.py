"""Small programs of a Debian system, each with something to do in a folder of its own."""

import json
import os
import subprocess

# The commands run in a folder with the files that `prepare` writes.
COMMANDS = """
ls: ls -laR /usr/include
cat: cat words.txt
sort: sort -k2 words.txt
sort-numeric: sort -rn numbers.txt
uniq: uniq -c words.txt
wc: wc words.txt
tac: tac words.txt
shuf: shuf --random-source=words.txt words.txt
comm: comm words.txt sorted.txt
join: join sorted.txt sorted.txt
cut: cut -d' ' -f2 words.txt
tr: tr a-z A-Z < words.txt
od: od -c words.txt
split: split -l 5000 words.txt part-
csplit: csplit -s words.txt 100 200
fold: fold -w 20 words.txt
fmt: fmt words.txt
nl: nl words.txt
pr: pr words.txt
expand: expand words.txt
head: head -n 9999 words.txt
tail: tail -n 9999 words.txt
sha256sum: sha256sum words.txt
base64: base64 words.txt
factor: factor 1234567890123456789 98765432109876543
seq: seq -w 20000
date: date --date=2026-01-01 +%A
stat: stat words.txt data.json
du: du -a /usr/share/doc
df: df -a
find: find /usr/include -name '*.h' -size +1k
xargs: xargs -n 100 echo < words.txt
grep: grep -E '(ab|cd)[0-9]+' words.txt
grep-fixed: grep -Ff patterns.txt words.txt
sed: sed -E 's/([a-z]+)([0-9]+)/\\2\\1/' words.txt
awk: awk '{ count[$2 % 97]++ } END { for (key in count) print key, count[key] }' words.txt
mawk: mawk '{ line[NR] = $0 } END { for (i = NR; i > 0; i--) print line[i] }' words.txt
perl: perl -ne 'push @{$by{length $_}}, $_; END { print scalar @{$by{$_}}, qq(\\n) for sort keys %by }' words.txt
perl-sort: perl -e 'my %h = map { $_ => [1 .. $_ % 10] } 1 .. 20000; print scalar keys %h'
python3: python3 -S -c 'print(sum(len(str(n)) for n in range(20000)))'
python3-json: python3 -c 'import json; print(len(json.load(open("data.json"))))'
python3-threads: python3 threads.py
bash: bash -c 'declare -A seen; for n in {1..3000}; do seen[$n]=$((n * n)); done; echo ${#seen[@]}'
dash: dash -c 'n=0; while [ $n -lt 3000 ]; do n=$((n + 1)); done; echo $n'
bash-processes: bash -c 'for n in 1 2 3; do sort words.txt | uniq -c | head -n 3; done'
git-init: git init -q fresh
git-log: git -C repository log --stat
git-diff: git -C repository diff HEAD~1
git-status: git -C repository status
git-grep: git -C repository grep word
git-gc: git -C repository gc -q
lua5.4: lua5.4 -e 'local t = {} for i = 1, 20000 do t[i] = {i, tostring(i)} end print(#t)'
sqlite3: sqlite3 :memory: 'create table t(a, b); with recursive n(i) as (select 1 union all select i + 1 from n where i < 5000) insert into t select i, hex(i) from n; select count(*) from t join t u on t.a = u.a + 1'
jq: jq 'map(.name) | group_by(length) | map(length)' data.json
jq-format: jq . data.json
tar: tar cf words.tar words.txt data.json
tar-list: tar tvf archive.tar
gzip: gzip -k -f words.txt
gunzip: gzip -dc words.txt.gz
bzip2: bzip2 -k -f words.txt
xz: xz -k -f -0 words.txt
zstd: zstd -q -f words.txt
diff: diff words.txt sorted.txt
cmp: cmp words.txt sorted.txt
patch: patch -s -o patched.txt words.txt change.diff
make: make -s -f rules.mk
cc: cc -O1 -c -o small.o small.c
as: as -o empty.o empty.s
nm: nm -D /usr/bin/perl
objdump: objdump -d small.o
readelf: readelf -a /usr/bin/env
strings: strings /usr/bin/env
file: file /usr/bin/env words.txt data.json
bc: echo 'scale = 200; 4 * a(1)' | bc -l
dc: dc -e '2 500 ^ p'
m4: m4 macros.m4
expr: expr 12345678901234567890 '*' 98765432109876543210
iconv: iconv -f utf-8 -t utf-16 words.txt
getconf: getconf -a
locale: locale -a
ps: ps aux
openssl: openssl dgst -sha512 words.txt
curl: curl --version
node: node -e 'console.log([...Array(2000).keys()].map(String).sort().length)'
dpkg-query: dpkg-query -l
"""


def commands():
    """Returns names and commands."""
    return dict(line.split(": ", 1) for line in COMMANDS.strip().splitlines())


def prepare(folder):
    """Writes the files that the commands read."""
    words = [f"{'abcdefgh'[n % 8 :]}{n * 7919 % 10007} {n * 31 % 1009}" for n in range(20_000)]
    texts = {
        "words.txt": words,
        "sorted.txt": sorted(words),
        "numbers.txt": [str(n * 7919 % 100_003) for n in range(20_000)],
        "patterns.txt": [f"{n}0{n}" for n in range(1, 90)],
        "data.json": [json.dumps([{"name": word, "values": list(range(len(word)))} for word in words[:3000]])],
        "threads.py": [
            "import threading",
            "made = []",
            "def make(): made.append([str(n) for n in range(3000)])",
            "threads = [threading.Thread(target=make) for _ in range(4)]",
            "for thread in threads: thread.start()",
            "for thread in threads: thread.join()",
            "print(sum(map(len, made)))",
        ],
        "change.diff": ["--- words.txt", "+++ words.txt", "@@ -1 +1 @@", f"-{words[0]}", "+changed"],
        "rules.mk": ["all: one two", "one two:", "\t@echo $@"],
        "small.c": [f"int f{n}(int x) {{ return x * {n} + (x >> {n % 7}); }}" for n in range(300)],
        "empty.s": [".text"],
        "macros.m4": ["define(`word', `$1 $1')", *(f"word({n})" for n in range(2000))],
    }
    for name, lines in texts.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    script = """
        export LC_ALL=C; sort -o sorted.txt sorted.txt; tar cf archive.tar *.txt; cc -c -o small.o small.c
        git init -q repository; cd repository; cp ../words.txt ../small.c .
        commit() { git add -A; git -c user.name=n -c user.email=e@localhost commit -q -m "$1"; }
        commit first; cp ../sorted.txt words.txt; commit second
    """
    subprocess.run(["bash", "-c", script], cwd=folder, check=True, env={**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"})
