/// Files that hold what another one beside them holds: "a.tar.gz" beside "a.tar", from which it was unpacked, and what a second
/// download is called, "a (1).npz" beside "a.npz".
enum Copies {
  /// - Returns: those of `names` that are no copies, in their order, and what is said of the others.
  static func without(_ names: [String]) -> (names: [String], note: String?) {
    let all = Set(names)
    var (kept, copies): ([String], [String]) = ([], [])
    for name in names {
      if let original = originals(of: name).first(where: all.contains) {
        copies.append("\(name) of \(original)")
      } else {
        kept.append(name)
      }
    }
    if copies.isEmpty { return (names, nil) }
    let more = copies.count > 3 ? " and \((copies.count - 3).grouped) more" : ""
    return (kept, "left out as copies: " + copies.prefix(3).joined(separator: ", ") + more)
  }

  /// What a file would be a copy of. Each has a shorter name, or is less packed, so that of files of one content one is no copy.
  private static func originals(of name: String) -> [String] {
    let first = name.replacing(/[ ]?\([0-9]+\)(\.[^\/]+)$/) { $0.1 }
    return (first == name ? [] : [first]) + [name, first].flatMap(lessPacked)
  }

  private static func lessPacked(_ name: String) -> [String] {
    if name.hasSuffix(".tar.gz") { return [String(name.dropLast(3))] }
    if name.hasSuffix(".tgz") { return [".tar", ".tar.gz"].map { name.dropLast(4) + $0 } }
    return []
  }
}
