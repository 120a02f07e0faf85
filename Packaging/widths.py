"""Wraps the prose of documents at 110 characters, or with --check names the lines that are longer: widths.py [--check] FILE…

Code, tables and headings stay as they are, and so does a word that is longer by itself.
"""
import re
import sys

WIDTH = 110
FIXED = re.compile(r"\s*(\||#|<|\$\$|!\[|$)|    \S")
ITEM = re.compile(r"\s*([-*]|\d+\.) +")
# What may not begin a line, for it would begin something else.
MARK = re.compile(r"([-+*=>|#]|\d+\.)")
WORD = re.compile(r"(?:``[^`]+``|`[^`]+`|\S)+")


def paragraphs(lines):
    """Pairs of whether lines are prose and the lines: a paragraph or an item of a list, or a line of something else."""
    is_code = False
    prose = []
    for line in lines:
        is_fence = line.lstrip().startswith("```")
        is_item = ITEM.match(line) is not None
        is_fixed = is_code or is_fence or (FIXED.match(line) and not (prose and line.strip() and line.startswith("    ")))
        if prose and (is_fixed or is_item):
            yield True, prose
            prose = []
        if is_fixed:
            yield False, [line]
        else:
            prose.append(line)
        is_code ^= is_fence
    if prose:
        yield True, prose


def wrapped(lines):
    first = ITEM.match(lines[0])
    indent = " " * (first.end() if first else len(lines[0]) - len(lines[0].lstrip()))
    result = [first.group() if first else indent]
    for word in WORD.findall(" ".join([lines[0][len(result[0]):]] + [line.strip() for line in lines[1:]])):
        is_empty = result[-1].strip() == "" or (first and len(result) == 1 and result[-1] == first.group())
        if is_empty:
            result[-1] += word
        elif len(result[-1]) + 1 + len(word) <= WIDTH or MARK.fullmatch(word):
            result[-1] += " " + word
        else:
            result.append(indent + word)
    return result


too_long = 0
for path in [argument for argument in sys.argv[1:] if argument != "--check"]:
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    after = []
    for is_prose, part in paragraphs(lines):
        if is_prose and max(map(len, part)) > WIDTH and wrapped(part) != part:
            if "--check" in sys.argv:
                print(f"{path}:{len(after) + 1}: prose wider than {WIDTH} characters (make format)", file=sys.stderr)
                too_long += 1
            else:
                part = wrapped(part)
        after += part
    if after != lines:
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join(after) + "\n")
sys.exit(1 if too_long else 0)
