import Foundation
import GlowFiles
import GlowFlow
import GlowImages
import GlowKernels
import GlowStorage

/// What is needed to get scores again: `NAME.meta.json` beside the file of scores NAME.
package struct ScoreProvenance: Codable, Sendable, Equatable {
  package var version = Release.version
  package var model: String
  /// Of the weights, in the order of the model's parameters.
  package var modelSha256: String
  /// What made the matrix products, on which the last bits depend.
  package var kernels: String
  /// Of a channel value.
  package var bits: Int
  package var data: String
  package var split: String?
  package var imageOptions = ImageSettings()
  /// "2/4" for the second of four parts.
  package var shard: String?
  /// Of the part that is scored.
  package var images: Int
  package var dequantization: String
  package var seed: UInt64
  package var importanceSamples: Int
  package var onError: String
  /// What was asked for, by name; nil for the classes that the images have, or none.
  package var classes: String?
  /// What complexity is measured by.
  package var compressor: String?
  /// What typicality is measured by.
  package var meanTrainingBitsPerDim: Double?
  /// What single images are judged by.
  package var judgment: Judgment?
  /// Of the SHA-256 of each image's bytes, 32 bytes each, in their order; nil until all are scored.
  package var dataSha256: String?
  package var skipped: Int?
  /// What is to be known of the images: how they were understood, and of how many something was changed.
  package var notes: [String]?

  /// How images are judged by a reference.
  package struct Judgment: Codable, Sendable, Equatable {
    package var reference: String
    /// Of the known images.
    package var referenceDataSha256: String?
    package var score: String
    package var falsePositiveRate: Double

    package init(reference: String, _ judge: DetectionJudge) {
      self.reference = reference
      referenceDataSha256 = judge.reference.provenance?.dataSha256
      score = judge.score.rawValue
      falsePositiveRate = judge.falsePositiveRate
    }
  }

  /// - Parameters:
  ///   - model: where it is.
  ///   - data: where the images are.
  ///   - count: of the images.
  package init(
    _ glow: Glow<Float>, model: String, data: String, count: Int, _ scoring: ScoringSettings
  ) {
    self.model = model
    modelSha256 = ModelFile.digest(glow)
    kernels = glow.kernels.identity
    bits = glow.configuration.bits
    self.data = data
    images = count
    dequantization = scoring.dequantization.rawValue
    seed = scoring.seed
    importanceSamples = scoring.importanceSamples
    onError = scoring.onError.rawValue
    compressor = scoring.compressor?.rawValue
  }

  /// Where that of a file of scores is.
  package static func path(of scores: String) -> String { "\(scores).meta.json" }

  /// - Returns: nil if there is none.
  /// - Throws: `FileError`.
  package static func read(for scores: String) throws -> ScoreProvenance? {
    let path = path(of: scores)
    return FileManager.default.fileExists(atPath: path) ? try ScoreProvenance(path) : nil
  }

  /// That of a job whose records `--resume` would go on with, or that is done.
  ///
  /// - Throws: `FileError`.
  package static func readFormer(for scores: String) throws -> ScoreProvenance? {
    // The one of a part comes first: a process may have been killed when the file had its name, but its neighbor not yet.
    try read(for: PartialFile.name(of: scores)) ?? read(for: scores)
  }

  /// - Throws: `FileError` if the file says no such thing.
  package init(_ path: String) throws {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    let bytes = try MappedFile(path).withBytes { Data($0) }
    guard let result = try? decoder.decode(ScoreProvenance.self, from: bytes) else {
      throw FileError(path, "does not say how scores were made")
    }
    self = result
  }

  /// Writes it beside a file of scores.
  ///
  /// - Throws: `FileError`.
  package func write(for scores: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    let text = String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
    try AtomicFile.write(text, to: ScoreProvenance.path(of: scores))
  }

  /// The same with what is known only when all images are scored.
  package func completed(by scores: CollectedScores) -> ScoreProvenance {
    var result = self
    result.dataSha256 = scores.dataSha256
    result.skipped = scores.skipped
    if let note = scores.traits.note { result.notes = (notes ?? []) + [note] }
    return result
  }

  /// What of other scores is different, each with both values. Two ways to write one path are none.
  ///
  /// - Parameter fields: those that matter.
  package func differences(to new: ScoreProvenance, in fields: Set<Field>) -> [String] {
    zip(Mirror(reflecting: self).children, Mirror(reflecting: new).children).compactMap { old, new in
      let label = old.label!
      let (before, after) = (shown(old.value), shown(new.value))
      guard let field = Field(rawValue: label), fields.contains(field), before != after else { return nil }
      if field == .data, let path = Folder.resolved(before), path == Folder.resolved(after) { return nil }
      return "\(label) was \(before), is now \(after)"
    }
  }

  /// What can be different.
  package enum Field: String, CaseIterable, Sendable {
    case version, modelSha256, kernels, bits, data, split, imageOptions, shard, images, dequantization, seed,
      importanceSamples, onError, classes, compressor, meanTrainingBitsPerDim
  }

  private func shown(_ value: Any) -> String {
    let mirror = Mirror(reflecting: value)
    if mirror.displayStyle == .optional { return mirror.children.first.map { shown($0.value) } ?? "none" }
    if mirror.displayStyle != .struct { return "\(value)" }
    return mirror.children.map { "\($0.label!) \(shown($0.value))" }.joined(separator: ", ")
  }
}
