# Reads what `llvm-cov export -format=lcov` prints: a table of the modules in the folder `sources`, and the lines that
# no test reaches.

/^SF:/ {
  file = index($0, "SF:" sources) == 1 ? substr($0, 4 + length(sources)) : ""
  split(file, parts, "/")
  module = parts[1]
}

/^DA:/ && file != "" {
  split(substr($0, 4), entry, ",")
  total[module]++
  if (entry[2] > 0) {
    reached[module]++
  } else if (last[file] != "" && entry[1] == last[file] + 1) {
    last[file] = entry[1]
  } else {
    close_range()
    first[file] = last[file] = entry[1]
  }
}

/^end_of_record/ && file != "" {
  close_range()
  if (ranges[file] != "") missed[++count] = file ":" ranges[file]
}

function close_range() {
  if (last[file] == "") return
  ranges[file] = ranges[file] " " first[file] (last[file] > first[file] ? "-" last[file] : "")
  last[file] = ""
}

END {
  form = "%-16s %7s %9s\n"
  printf form, "module", "lines", "reached"
  for (module in total) {
    printf form, module, total[module], percent(reached[module], total[module]) | "sort"
    lines += total[module]
    hits += reached[module]
  }
  close("sort")
  printf form, "all", lines, percent(hits, lines)
  print "\nlines that no test reaches:"
  for (i = 1; i <= count; i++) print missed[i]
}

function percent(part, whole) { return sprintf("%.1f %%", 100 * part / whole) }
