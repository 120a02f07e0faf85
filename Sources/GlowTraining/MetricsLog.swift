import Foundation
import Glibc
import GlowFiles

/// `metrics.jsonl`: one JSON object a line, appended and flushed as it is written.
final class MetricsLog {
  private let path: String
  private let descriptor: Int32
  /// Takes the same metrics.
  var events: EventLog?
  /// Lines of the step after which the log goes on.
  private(set) var kept: [Metrics] = []
  /// Those of the last line that is kept.
  private(set) var seconds = 0.0

  /// Opens the log to go on after update `step`: later lines, and a torn last one, are dropped, and so is that of
  /// an evaluation at `step`, which is done again.
  ///
  /// - Throws: `FileError`.
  init(_ path: String, after step: Int) throws {
    self.path = path
    let old = FileManager.default.fileExists(atPath: path) ? try MappedFile(path).withBytes { Array($0) } : []
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    var lines: [UInt8] = []
    for line in old.split(separator: UInt8(ascii: "\n")) {
      // Not `JSONDecoder`, which does not look at the numbers that it is not asked for.
      guard let entry = try? JSONSerialization.jsonObject(with: Data(line)) as? [String: Any],
        let found = entry["step"] as? Int,
        found < step || (found == step && entry["test_bits_per_dim"] == nil)
      else { continue }
      lines += line + [UInt8(ascii: "\n")]
      seconds = (entry["seconds"] as? NSNumber)?.doubleValue ?? seconds
      if found == step, let metrics = try? decoder.decode(Metrics.self, from: Data(line)) {
        kept.append(metrics)
      }
    }
    if lines != old || old.isEmpty { try AtomicFile.write(lines, to: path) }
    descriptor = open(path, O_WRONLY | O_APPEND | O_CLOEXEC)
    if descriptor < 0 { throw FileError.system(path, "cannot write") }
  }

  deinit { close(descriptor) }

  /// - Throws: `FileError`; the file then ends with the line before.
  func append(_ entry: Metrics) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    let line = Array(try encoder.encode(entry)) + [UInt8(ascii: "\n")]
    try appendAll(line, to: descriptor, path: path)
    try events?.append(entry)
  }

  /// Brings all lines and events onto the disk.
  ///
  /// - Throws: `FileError`.
  func synchronize() throws {
    try GlowFiles.synchronize(descriptor, path: path)
    try events?.synchronize()
  }
}

/// One line of `metrics.jsonl`, whose keys are these names in snake case. JSON has no numbers that are not finite:
/// they are absent.
struct Metrics: Codable {
  var step: Int
  var images: Int
  var epoch: Double
  /// Of the batch; absent on evaluation lines.
  var loss: Double?
  /// Absent where the model normalizes by the batch, whose loss is no score.
  var trainBitsPerDim: Double?
  var gradientNorm: Double?
  var learningRate: Double?
  /// Of the worst channel map, if there is any.
  var largestCondition: Double?
  var imagesPerSecond: Double?
  var seconds: Double
  /// With the averaged weights, and with the raw ones.
  var testBitsPerDim: Double?
  var testBitsPerDimRaw: Double?
  var testStandardError: Double?
  /// Of training images that are scored as the held-out ones are, with the averaged weights.
  var trainBitsPerDimEvaluated: Double?
  /// The largest |x − f⁻¹(f(x))| over the values of a batch of held-out images, which span 1; absent if it is not finite.
  var inverseError: Double?
}
