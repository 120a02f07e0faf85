import Foundation
import GlowFiles
import GlowFlow
import GlowKernels

/// A model as a safetensors file: every parameter in F32 under its own name, and in the metadata all that is
/// needed to build the model again.
package enum ModelFile {
  /// The name of the model's file in a run folder.
  package static let nameInRun = "model.safetensors"

  static let format = "glow"
  /// Of the format, those that are read: there is another when files are written that earlier versions of the package would
  /// read wrongly.
  static let versions = ["1", "2"]
  static let formatKey = "format"
  static let versionKey = "glow.version"
  static let configurationKey = "glow.configuration"
  /// The version of the package that wrote the file, since 0.3.
  package static let releaseKey = "glow.release"

  /// The version that a model's file gets. Programs before 0.3 would take a model with a logit for one without: its
  /// parameters are the same.
  static func version(of configuration: GlowConfiguration) -> String {
    versions[configuration.logit == 0 ? 0 : 1]
  }

  /// Writes a model.
  ///
  /// - Parameters:
  ///   - values: other values than the model's own, for instance averaged ones, in the order of its parameters.
  ///   - metadata: what else to keep in the file.
  /// - Throws: `FileError`.
  package static func write<S: Scalar>(
    _ glow: Glow<S>, values: UnsafePointer<S>? = nil, metadata: [String: String] = [:], to path: String
  ) throws {
    let values = values ?? UnsafePointer(glow.values.base)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    var metadata = metadata
    metadata[formatKey] = format
    metadata[versionKey] = version(of: glow.configuration)
    metadata[releaseKey] = Release.version
    metadata[configurationKey] = String(decoding: try encoder.encode(glow.configuration), as: UTF8.self)
    var writer = SafetensorsWriter(metadata: metadata)
    for entry in glow.parameters.entries {
      if let values = values as? UnsafePointer<Float> {
        writer.add(entry.name, shape: entry.shape, values: values + entry.offset)
      } else {
        writer.add(entry.name, shape: entry.shape, values: entry.range.map { Float(values[$0]) })
      }
    }
    try withExtendedLifetime(glow) { try writer.write(to: path) }
  }

  /// Whether a file of safetensors says that it is a model of this program.
  package static func isModel(_ file: SafetensorsFile) -> Bool { file.metadata[formatKey] == format }

  /// Whether it says nothing of this program, of which checkpoints are too.
  package static func isForeign(_ file: SafetensorsFile) -> Bool {
    file.metadata[formatKey]?.hasPrefix(format) != true
  }

  /// Reads a model, from its file or from the run folder that holds it.
  ///
  /// - Returns: the model, ready for use, and all of the file's metadata.
  /// - Throws: `FileError` naming the entry that is damaged, missing, left over, of the wrong shape, or holds a
  ///   value that it must not.
  package static func read<S: Scalar>(
    _ path: String, as _: S.Type = S.self, team: ThreadTeam = ThreadTeam()
  ) throws -> (glow: Glow<S>, metadata: [String: String]) {
    var isFolder: ObjCBool = false
    let isThere = FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
    let file = try SafetensorsFile(isThere && isFolder.boolValue ? "\(path)/\(nameInRun)" : path)
    let configuration = try configuration(of: file)
    // Before any memory is booked for the model: the file must hold what it describes.
    try checkSize(configuration, file)
    try checkShapes(configuration.parameters(), file)
    try file.checkSums()
    return (try read(file, configuration, prefix: "", team: team), file.metadata)
  }

  /// Reads a model from those entries of a file whose names begin with `prefix`, and may be among others.
  ///
  /// - Throws: as `read`.
  package static func read<S: Scalar>(
    _ file: SafetensorsFile, _ configuration: GlowConfiguration, prefix: String, team: ThreadTeam
  ) throws -> Glow<S> {
    let glow = try build(configuration, team: team, as: S.self, path: file.path)
    for parameter in glow.parameters.entries {
      let name = prefix + parameter.name
      let found = try file.entry(name)
      if found.shape != parameter.shape {
        throw FileError(file.path, "\(name): has shape \(found.shape), expected \(parameter.shape)")
      }
      try glow.set(parameter, to: try file.values(name, as: S.self), path: file.path)
    }
    try glow.accept(path: file.path)
    return glow
  }

  /// SHA-256 of a model's values as a file has them, little-endian F32 in the order of its parameters.
  package static func digest(_ glow: Glow<Float>) -> String {
    var hash = SHA256()
    for entry in glow.parameters.entries {
      hash.update(UnsafeRawBufferPointer(start: glow.values.base + entry.offset, count: 4 * entry.count))
    }
    return withExtendedLifetime(glow) { hash.digest() }
  }

  private static func checkShapes(_ parameters: ParameterList, _ file: SafetensorsFile) throws {
    for entry in file.entries where parameters[entry.name] == nil {
      throw FileError(file.path, "\(entry.name): is no parameter of the model that the file describes")
    }
    for parameter in parameters.entries {
      let entry = try file.entry(parameter.name)
      if entry.shape != parameter.shape {
        throw FileError(
          file.path, "\(entry.name): has shape \(entry.shape), expected \(parameter.shape)")
      }
    }
  }

  /// The configuration of the model in a file.
  ///
  /// - Throws: `FileError` if the file is not a model of this project, or no model can be built from it.
  static func configuration(of file: SafetensorsFile) throws -> GlowConfiguration {
    guard file.metadata[formatKey] == format, let text = file.metadata[configurationKey] else {
      throw FileError(
        file.path,
        "is not a model of this program: its metadata lacks “\(formatKey)”: “\(format)”"
          + " or “\(configurationKey)”")
    }
    let found = file.metadata[versionKey] ?? "none"
    if !versions.contains(found) {
      let writer = file.metadata[releaseKey].map { ", written by glow \($0)" } ?? ""
      throw FileError(
        file.path,
        "has format version \(found)\(writer); this program, glow \(Release.version), reads versions "
          + versions.joined(separator: " and ")
      )
    }
    do {
      let configuration = try JSONDecoder().decode(GlowConfiguration.self, from: Data(text.utf8))
      try configuration.validate()
      return configuration
    } catch let error as ConfigurationError {
      throw FileError(file.path, "\(configurationKey): \(error)")
    } catch {
      throw FileError(file.path, "\(configurationKey): is not a model's configuration: \(text.prefix(200))")
    }
  }

  /// Refuses a file that is too small for its model, by a bound that costs nothing: a list of the parameters takes
  /// memory too.
  static func checkSize(_ configuration: GlowConfiguration, _ file: SafetensorsFile) throws {
    let least = configuration.leastParameters
    let found = file.entries.reduce(0) { $0 + $1.count }
    if Double(found) < least {
      throw FileError(
        file.path,
        "describes a model of more than \(Int(least)) parameters, holds \(found)"
      )
    }
  }

  static func build<S: Scalar>(
    _ configuration: GlowConfiguration, team: ThreadTeam, as _: S.Type, path: String
  ) throws -> Glow<S> {
    do {
      // The values, folded ones beside them, and their panels.
      try requireMemory(
        (S.hasPackedProducts && team.kernels == .packed ? 3 : 2) * MemoryLayout<S>.stride
          * configuration.parameters().count, for: "the model in \(path)",
        advice: "free memory, or use a smaller model")
      return try Glow<S>(configuration: configuration, seed: nil, team: team)
    } catch let error as ConfigurationError {
      throw FileError(path, "\(error)")
    }
  }
}

extension Glow {
  /// Sets one parameter to values that were read from `path`.
  ///
  /// - Throws: `FileError` if a value is not finite, or an entry that is not learned holds what it must not.
  func set(_ parameter: ParameterEntry, to source: [S], path: String) throws {
    func refuse(_ reason: String) -> FileError { FileError(path, "\(parameter.name): \(reason)") }
    if let index = source.firstIndex(where: { !$0.isFinite }) {
      throw refuse("value \(index) is \(source[index])")
    }
    if parameter.name.hasSuffix(".permutation") || parameter.name.hasSuffix(".indices") {
      let isPermutation = source.sorted().enumerated().allSatisfy { S($0.offset) == $0.element }
      if !isPermutation { throw refuse("is not a permutation of 0 to \(source.count - 1)") }
    }
    if parameter.name.hasSuffix(".sign"), let index = source.firstIndex(where: { abs($0) != 1 }) {
      throw refuse("value \(index) is \(source[index]), expected 1 or -1")
    }
    if parameter.name.hasSuffix(".running_var"), let index = source.firstIndex(where: { $0 < 0 }) {
      throw refuse("value \(index) is \(source[index]), and a variance is not negative")
    }
    for (index, value) in source.enumerated() { values.base[parameter.offset + index] = value }
  }

  /// Takes over the values that were read from `path`.
  ///
  /// - Throws: `FileError` if they describe no invertible map, or are finite but absurd.
  func accept(path: String) throws {
    do { try parametersChanged() } catch let error as SingularMapError { throw FileError(path, "\(error)") }
    if let absurd = firstAbsurdWeights() {
      throw FileError(
        path, "\(absurd.layer): \(absurd.reason), which no training gives: the file is of no use")
    }
  }
}
