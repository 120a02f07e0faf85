import ArgumentParser
import Foundation
import GlowFiles
import GlowLatents

/// Vectors in files, to be added, each with a weight: "smile.npy,hair.npy:0.5".
struct VectorSum: ExpressibleByArgument {
  private let parts: [(path: String, weight: Double)]

  /// What follows the last colon of a part is its weight if it is a number, and else part of the path.
  init?(argument: String) {
    var parts: [(path: String, weight: Double)] = []
    for part in argument.split(separator: ",", omittingEmptySubsequences: false) {
      var (path, weight) = (part, 1.0)
      if let colon = part.lastIndex(of: ":"), let number = Double(part[part.index(after: colon)...]) {
        (path, weight) = (part[..<colon], number)
      }
      if path.isEmpty || !weight.isFinite { return nil }
      parts.append((String(path), weight))
    }
    self.parts = parts
  }

  var paths: [String] { parts.map(\.path) }

  /// The files' names without folder and extension, with the weights that are not 1.
  var name: String {
    parts.map { path, weight in
      let name = URL(filePath: path).deletingPathExtension().lastPathComponent
      return weight == 1 ? name : name + String(format: " × %g", weight)
    }.joined(separator: " + ")
  }

  /// The vectors, each times its weight.
  ///
  /// - Parameter size: values of one vector.
  /// - Throws: `FileError` of a file that is not one vector.
  func read(size: Int) throws -> [[Float]] {
    try parts.map { path, weight in
      let file = try LatentFile(path, size: size)
      if file.count != 1 { throw FileError(path, "holds \(file.count) vectors, expected one") }
      return try file.rows(0..<1).map { Float(weight) * $0 }
    }
  }
}
