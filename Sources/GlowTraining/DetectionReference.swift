import Foundation
import GlowFiles
import GlowImages

/// The scores of known images, by which single new ones are judged, and how they were made.
package struct DetectionReference: Codable, Sendable, Equatable {
  package let modelSha256: String
  package let dequantization: String
  package let seed: UInt64
  package let importanceSamples: Int
  /// As `--class` says, nil for the classes that the images have.
  package let classes: String?
  package let compressor: String
  package let meanTrainingBitsPerDim: Double?
  /// Where the known images were.
  package let data: String
  /// All that the scores come from. Nil in the files of earlier versions.
  package let provenance: ScoreProvenance?
  /// Of the known images, by the score's name, in rising order.
  package let scores: [String: [Double]]

  package init(_ provenance: ScoreProvenance, scores: [DetectionScore: [Double]]) {
    modelSha256 = provenance.modelSha256
    dequantization = provenance.dequantization
    seed = provenance.seed
    importanceSamples = provenance.importanceSamples
    classes = provenance.classes
    compressor = provenance.compressor ?? ""
    meanTrainingBitsPerDim = provenance.meanTrainingBitsPerDim
    data = provenance.data
    self.provenance = provenance
    self.scores = Dictionary(uniqueKeysWithValues: scores.map { ($0.key.rawValue, $0.value.sorted()) })
  }

  /// - Throws: `FileError`.
  package init(_ path: String) throws {
    let bytes = try MappedFile(path).withBytes { Data($0) }
    guard let reference = try? JSONDecoder().decode(DetectionReference.self, from: bytes),
      reference.scores.values.allSatisfy({ scores in
        !scores.isEmpty && zip(scores, scores.dropFirst()).allSatisfy { $0 <= $1 }
      })
    else { throw FileError(path, "is not a reference of glow detect") }
    self = reference
  }

  /// - Throws: `FileError`.
  package func write(to path: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    try AtomicFile.write(String(decoding: try encoder.encode(self), as: UTF8.self) + "\n", to: path)
  }

  /// What is not as it was when the reference was made.
  package func differences(to new: ScoreProvenance) -> [String] {
    var pairs: [(String, String, String)] = [
      ("model", modelSha256, new.modelSha256), ("--dequantization", dequantization, new.dequantization),
      ("--seed", "\(seed)", "\(new.seed)"),
      ("--importance-samples", "\(importanceSamples)", "\(new.importanceSamples)"),
      ("--class", classes ?? "none", new.classes ?? "none"),
      ("--compressor", compressor, new.compressor ?? "none"),
    ]
    if let old = provenance {
      pairs += [("version", old.version, new.version), ("--kernels", old.kernels, new.kernels)]
      pairs += zip(old.imageOptions.treatment, new.imageOptions.treatment).map {
        ($0.option, $0.value, $1.value)
      }
    }
    return pairs.compactMap { $1 == $2 ? nil : "\($0) was \($1), is now \($2)" }
  }

  /// The empirical p-value of a score: the share of known images, the new one counted among them, that are at least as
  /// foreign, (1 + |{known ≥ score}|) / (1 + n). Ties count as at least as foreign.
  ///
  /// - Returns: nil if the reference does not have the score.
  package func probability(_ value: Double, of score: DetectionScore) -> Double? {
    guard let known = scores[score.rawValue] else { return nil }
    var (low, high) = (0, known.count)
    while low < high {
      let middle = (low + high) / 2
      if known[middle] < value { low = middle + 1 } else { high = middle }
    }
    return Double(1 + known.count - low) / Double(1 + known.count)
  }

  /// The least p-value that there can be.
  ///
  /// - Returns: nil if the reference does not have the score.
  package func leastProbability(of score: DetectionScore) -> Double? {
    scores[score.rawValue].map { 1 / Double(1 + $0.count) }
  }
}

/// How single images are judged by a reference.
package struct DetectionJudge: Sendable {
  package let reference: DetectionReference
  package let score: DetectionScore
  /// The share of known images that may be taken for foreign.
  package let falsePositiveRate: Double

  package init(_ reference: DetectionReference, _ score: DetectionScore, falsePositiveRate: Double) {
    self.reference = reference
    self.score = score
    self.falsePositiveRate = falsePositiveRate
  }

  package struct Verdict: Sendable, Equatable {
    package let probability: Double
    package let isForeign: Bool
    package var word: String { isForeign ? "foreign" : "known" }
  }

  /// - Returns: nil if the image, or the reference, does not have the score.
  package func verdict(_ image: ImageScore) -> Verdict? {
    score.value(image, meanTrainingBits: reference.meanTrainingBitsPerDim).flatMap {
      reference.probability($0, of: score)
    }.map { Verdict(probability: $0, isForeign: $0 <= falsePositiveRate) }
  }
}
