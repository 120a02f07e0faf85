import Foundation
import GlowFiles
import GlowFlow

/// The names of a class-conditional model's classes, kept in the metadata of its file as a JSON array in the order of
/// their numbers.
package enum ClassNames {
  package static let key = "glow.class_names"

  /// What the metadata keep.
  package static func text(_ names: [String]) throws -> String {
    String(decoding: try JSONEncoder().encode(names), as: UTF8.self)
  }

  /// The names that a file's metadata hold, if any.
  ///
  /// - Parameter count: classes of the model.
  /// - Throws: `FileError` if what they hold is not a name for each class.
  package static func read(_ metadata: [String: String], count: Int, path: String) throws -> [String]? {
    guard let text = metadata[key] else { return nil }
    guard let names = try? JSONDecoder().decode([String].self, from: Data(text.utf8)), names.count == count
    else {
      throw FileError(path, "\(key): is '\(text.prefix(40))', expected the names of \(count) classes")
    }
    return names
  }

  /// Of each of a data set's classes, its place among a model's: by name if the model keeps names, else the same
  /// place, as long as there are as many.
  ///
  /// - Parameters:
  ///   - model: names of the model's classes, if it keeps them.
  ///   - location: where the data are, for the error, as is `path`, the model's.
  /// - Throws: `ConfigurationError` if the data have other classes than the model, or another number of them.
  package static func places(
    of names: [String], in model: [String]?, count: Int, location: String, path: String
  ) throws -> [Int] {
    if let model {
      return try names.map { name in
        guard let place = model.firstIndex(of: name) else {
          throw ConfigurationError(
            "\(location) has the class '\(name)', which \(path) does not know: its classes are "
              + model.prefix(20).joined(separator: ", ") + (model.count > 20 ? ", …" : ""))
        }
        return place
      }
    }
    if names.count != count {
      throw ConfigurationError(
        "\(location) has \(names.count) classes (\(names.prefix(20).joined(separator: ", "))"
          + (names.count > 20 ? ", …" : "") + "), and \(path) has \(count), whose names it does not keep")
    }
    return Array(names.indices)
  }
}
