/// Files that are no images of a data set, by kind, so that a person sees what was passed over.
struct LeftOut {
  private var counts: [String: Int] = [:]

  /// - Parameter reason: what follows the kind: "not read", "beside the parts".
  mutating func add(_ name: ArraySlice<UInt8>, _ reason: String? = nil) {
    let suffix = ImageFile.suffix(name)
    let kind = suffix.isEmpty ? "other" : ".\(suffix)"
    counts[reason.map { "\(kind) (\($0))" } ?? kind, default: 0] += 1
  }

  /// - Parameter kind: `links`.
  mutating func add(kind: String, _ count: Int = 1) {
    if count > 0 { counts[kind, default: 0] += count }
  }

  /// A name in an archive that is not normalized (`ArchiveNames`); folders do not count.
  mutating func addPassedOver(_ name: [UInt8]) {
    if ArchiveNames.isUnsafe(name) {
      add(kind: "unsafe names")
    } else if ArchiveNames.isHidden(name) {
      add(kind: Self.hidden)
    }
  }

  /// What files are whose names, or those of folders on the way to them, begin with a point.
  static let hidden = "hidden"
  /// What entries of an archive are that only name another file.
  static let links = "links"

  /// "left out: 12 .gif (not read), 1 .txt"; nil if nothing is.
  var note: String? {
    if counts.isEmpty { return nil }
    // The most first; what is rare is summed up, since names may be anything.
    let sorted = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
    var items = sorted.prefix(6).map { "\($0.value.grouped) \($0.key)" }
    if sorted.count > 6 { items.append("\(sorted.dropFirst(6).reduce(0) { $0 + $1.value }.grouped) others") }
    return "left out: " + items.joined(separator: ", ")
  }
}

/// "1 image", "2 images".
package func counted(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }

extension Int {
  /// "1 image", "12,345 images".
  func counted(_ noun: String, _ plural: String? = nil) -> String {
    "\(grouped) \(self == 1 ? noun : plural ?? noun + "s")"
  }

  /// "12,345".
  var grouped: String {
    let digits = Array(String(magnitude))
    let groups = stride(from: digits.count, to: 0, by: -3).map { String(digits[Swift.max(0, $0 - 3)..<$0]) }
    return (self < 0 ? "-" : "") + groups.reversed().joined(separator: ",")
  }
}
