import Foundation
import GlowFiles
import GlowFlow
import GlowKernels
import Testing

@testable import GlowImages
@testable import GlowTraining

@Suite("Judging and comparing by scores")
struct DetectionReferenceTests {
  private let root = FileManager.default.temporaryDirectory.appending(path: "glow-reference-\(UUID())").path

  init() throws {
    try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
    var settings = ScoringSettings()
    settings.compressor = .png
    provenance = ScoreProvenance(try randomModel(threads: 1), model: "m", data: "d", count: 9, settings)
  }

  private func clean() { try? FileManager.default.removeItem(atPath: root) }

  private let provenance: ScoreProvenance

  private func reference(_ known: [Double]) -> DetectionReference {
    DetectionReference(provenance, scores: [.likelihood: known])
  }

  @Test("a p-value is the share of images that are at least as foreign, the new one among them")
  func probabilities() throws {
    let ten = reference([5, 1, 2, 2, 2, 3, 4, 6, 7])
    for (value, count) in [(0, 10), (1, 10), (1.5, 9), (2, 9), (2.5, 6), (7, 2), (7.5, 1)] as [(Double, Int)]
    {
      #expect(ten.probability(value, of: .likelihood) == Double(count) / 10)
    }
    #expect(ten.probability(1, of: .typicality) == nil)
    // Of a thousand known images as many are taken for foreign as the rate says, or one less.
    let known = (0..<999).map { Double($0 % 500) }
    let large = reference(known)
    let foreign = known.count { large.probability($0, of: .likelihood)! <= 0.05 }
    #expect(foreign <= 50 && foreign >= 48)
  }

  @Test("a reference is read as it was written, and other files are refused")
  func files() throws {
    defer { clean() }
    let path = "\(root)/r.json"
    try reference([0.1, 1.0 / 3, 2]).write(to: path)
    #expect(try DetectionReference(path) == reference([2, 0.1, 1.0 / 3]))
    #expect(try DetectionReference(path).differences(to: provenance).isEmpty)
    for (option, change) in [
      ("--crop", { $0.imageOptions.crop = 8 }), ("--resize", { $0.imageOptions.resizing = .crop }),
      ("--background", { $0.imageOptions.background = "0,0,0" }), ("--kernels", { $0.kernels = "k" }),
      ("version", { $0.version = "0" }), ("--class", { $0.classes = "best" }), ("--seed", { $0.seed = 1 }),
    ] as [(String, (inout ScoreProvenance) -> Void)] {
      var other = provenance
      change(&other)
      let found = try DetectionReference(path).differences(to: other)
      #expect(found.count == 1 && found[0].hasPrefix("\(option) was "), "\(found)")
    }
    var more = provenance
    (more.data, more.images, more.imageOptions.limit, more.imageOptions.layout) = ("e", 1, 3, .channelsFirst)
    #expect(try DetectionReference(path).differences(to: more).isEmpty)
    try AtomicFile.write(
      try String(contentsOfFile: path, encoding: .utf8).replacing("[0.1,", with: "[3,"), to: path)
    #expect(throws: FileError(path, "is not a reference of glow detect")) { try DetectionReference(path) }
  }

  @Test("both compressors keep what an image holds; a constant image takes next to nothing")
  func compressors() throws {
    let face = try FaceDataset(count: 1, seed: 0, part: .test).image(0)
    for compressor in Compressor.allCases {
      let flat = ByteImage(shape: face.shape, pixels: Array(repeating: 7, count: face.shape.count))
      let (large, small) = (try compressor.size(of: face), try compressor.size(of: flat))
      #expect(large > 4 * small && small > 0, "\(compressor)")
      let gray = ByteImage(
        shape: ImageShape(height: 8, width: 8, channels: 1), pixels: (0..<64).map { UInt8($0) })
      #expect(try compressor.size(of: gray) > 0)
    }
    #expect(try Compressor.webp.size(of: face) < Compressor.png.size(of: face))
  }

  private func table(
    _ name: String, _ rows: [(path: String, digest: String?, bits: Double?)], levels: Double = 8
  ) throws
    -> String
  {
    let path = "\(root)/\(name)"
    try ScoreTable.write(to: path, columns: ScoreColumns(levels: 1)) { table in
      for (index, row) in rows.enumerated() {
        let constant = -12 * levels * log(2)
        let likelihood = LogLikelihood(
          dequantizationConstant: constant, logDeterminants: [0],
          priors: [-12 * (row.bits ?? 0) * log(2) - constant], dimensions: 12)
        let score = ImageScore(
          likelihood: likelihood, gains: [0], label: nil, compressedBitsPerDimension: nil)
        var record = ScoreRecord(
          index: index, path: row.path, label: nil,
          result: row.bits == nil ? .failure(FileError(row.path, "no")) : .success(score))
        record.digest = row.digest
        try table!.append(record)
      }
    }
    return path
  }

  @Test("images are paired by digest, else by path; the rest is counted", arguments: ["jsonl", "csv"])
  func pairs(format: String) throws {
    defer { clean() }
    let first = try table(
      "a.\(format)",
      [("x", "1", 4), ("y,\"", "2", 5), ("z", nil, 3), ("same", "3", 6), ("gone", "9", 1), ("bad", "5", nil)])
    let second = try table(
      "b.\(format)",
      [
        ("other/y", "2", 4.5), ("other/x", "1", 4.25), ("z", "4", 3), ("same", "7", 1), ("bad", "5", 2),
        ("w", nil, 2),
      ])
    let paired = try PairedScores(first, second)
    #expect(paired.pairs.map(\.path) == ["x", "y,\"", "z"])
    for (pair, expected) in zip(paired.pairs, [0.25, -0.5, 0]) {
      #expect(abs(pair.difference - expected) < 1e-12)
    }
    // One name for two images is no match.
    #expect(paired.unmatched.first == 2 && paired.unmatched.second == 2 && paired.withoutScore == 1)
    #expect(abs(paired.mean! + 0.25 / 3) < 1e-12 && abs(paired.improved - 1.0 / 3) < 1e-12)
    #expect(paired.bits.first == 8 && paired.bits.second == 8)
    let fewer = try table("c.\(format)", [("x", "1", 4)], levels: 5)
    #expect(try PairedScores(first, fewer).bits.second == 5)
  }

  @Test("a last line without its end counts if it is whole, and other bits in one file are refused")
  func lastLine() throws {
    defer { clean() }
    for format in ["jsonl", "csv"] {
      let first = try table("a.\(format)", [("x", "1", 4), ("y", "2", 5)])
      let second = try table("b.\(format)", [("x", "1", 4.5), ("y", "2", 5)])
      let text = try String(contentsOfFile: second, encoding: .utf8)
      try AtomicFile.write(String(text.dropLast()), to: second)
      #expect(try PairedScores(first, second).pairs.count == 2)
      try AtomicFile.write(String(text.dropLast(20)), to: second)
      #expect(throws: FileError.self) { try PairedScores(first, second) }
      let other = try table("c.\(format)", [("z", "3", 4)], levels: 5)
      let record = try String(contentsOfFile: other, encoding: .utf8).split(separator: "\n").last!
      try AtomicFile.write(text + record + "\n", to: second)
      let error = #expect(throws: FileError.self) { try PairedScores(first, second) }
      #expect(error?.reason == "record 3 is of a model of 5 bits a value, those before of 8")
    }
    let records = try table("d.csv", [("x", "1", 4)])
    let headless = try String(contentsOfFile: records, encoding: .utf8).split(separator: "\n")[1]
    try AtomicFile.write(headless + "\n", to: records)
    let error = #expect(throws: FileError.self) { try PairedScores(records, records) }
    #expect(error?.reason.contains("has no line of names") == true)
  }

  @Test(
    "images that a table has twice are paired in their order; one pair has neither standard error nor interval"
  )
  func duplicates() throws {
    defer { clean() }
    let first = try table("a.jsonl", [("x", "1", 4), ("y", "1", 5), ("z", "1", 6)])
    let second = try table("b.jsonl", [("p", "1", 5), ("q", "1", 5)])
    let paired = try PairedScores(first, second)
    #expect(paired.pairs.map(\.path) == ["x", "y"] && paired.unmatched == (1, 0))
    #expect(paired.pairs.map { $0.difference.rounded() } == [1, 0])
    let one = try PairedScores(try table("c.jsonl", [("w", "1", 4)]), second)
    #expect(one.standardError == nil && one.mean!.rounded() == 1)
    #expect(one.interval(resamples: 100, seed: 0, team: ThreadTeam(count: 1)) == nil)
  }

  @Test("the interval is that of the mean, whatever the threads")
  func interval() throws {
    defer { clean() }
    var values = [Double](repeating: 0, count: 400)
    values.withUnsafeMutableBufferPointer { Philox(seed: 1, purpose: .latents).fillNormal($0) }
    let first = try table("a.jsonl", values.indices.map { ("\($0)", nil, 4) })
    let second = try table("b.jsonl", values.indices.map { ("\($0)", nil, 4 + 0.1 + values[$0]) })
    let paired = try PairedScores(first, second)
    let interval = try #require(paired.interval(resamples: 1000, seed: 0, team: ThreadTeam(count: 2)))
    #expect(interval == paired.interval(resamples: 1000, seed: 0, team: ThreadTeam(count: 1)))
    let (mean, error) = (try #require(paired.mean), try #require(paired.standardError))
    #expect(abs(interval.lowerBound - (mean - 1.96 * error)) < 0.3 * error)
    #expect(abs(interval.upperBound - (mean + 1.96 * error)) < 0.3 * error)
  }
}
