import Foundation

/// The SHA-256 of each result, as `sha256sum` prints them, under a line that names the libraries.
struct HashList {
  let text: String
  /// OpenBLAS with its kernels: lists of other ones say nothing about each other.
  let libraries: String
  private let hashes: [Substring: Substring]

  init(_ text: String) {
    self.text = text
    let lines = text.split(separator: "\n")
    libraries = String(lines.first?.trimmingPrefix("# ") ?? "")
    let pairs = lines.dropFirst().map { $0.split(separator: " ", maxSplits: 1) }
    hashes = Dictionary(
      uniqueKeysWithValues: pairs.map { ($0[1].trimmingPrefix(" "), $0[0]) })
  }

  /// The results that are not the same in both, or only in one.
  func differences(from other: HashList) -> [String] {
    Set(hashes.keys).union(other.hashes.keys).sorted().compactMap { name in
      if hashes[name] == other.hashes[name] { return nil }
      if hashes[name] == nil { return "\(name) (missing)" }
      return other.hashes[name] == nil ? "\(name) (new)" : String(name)
    }
  }
}
