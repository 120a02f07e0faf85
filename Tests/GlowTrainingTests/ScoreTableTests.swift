import Foundation
import GlowFiles
import GlowFlow
import GlowKernels
import GlowTestSupport
import Testing

@testable import GlowImages
@testable import GlowTraining

@Suite("Score tables")
struct ScoreTableTests {
  private let root = FileManager.default.temporaryDirectory.appending(path: "glow-scores-\(UUID())").path

  init() throws { try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true) }

  private func clean() { try? FileManager.default.removeItem(atPath: root) }

  private func text(_ path: String) throws -> String { try String(contentsOfFile: path, encoding: .utf8) }

  private let failure = FileError("x", "no")

  private func records(_ paths: [String]) -> [ScoreRecord] {
    paths.enumerated().map { index, path in
      ScoreRecord(index: index, path: path, label: index % 2 == 0 ? index : nil, result: .failure(failure))
    }
  }

  /// Names that each format has to quote.
  private let paths = [
    "plain.png", "a,b.png", "say \"hi\".png", "two\nlines", "carriage\r\nreturn", "\"\u{308}", "back\\slash",
    "bell\u{7}", "größe/日本.png",
  ]

  @Test("any name survives JSON")
  func json() throws {
    defer { clean() }
    let path = "\(root)/a.jsonl"
    try ScoreTable.write(to: path, columns: ScoreColumns(levels: 2)) { table in
      for record in records(paths) { try table!.append(record) }
    }
    let lines = try text(path).split(separator: "\n")
    let objects = try lines.map {
      try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
    }
    #expect(objects.map { $0["path"] as? String } == paths)
    #expect(objects.map { $0["label"] as? Int } == paths.indices.map { $0 % 2 == 0 ? $0 : nil })
    #expect(objects.allSatisfy { $0["error"] as? String == "x: no" && $0["log_likelihood"] is NSNull })
    #expect(objects.allSatisfy { $0.keys.contains("prior_1") && !$0.keys.contains("prior_2") })
  }

  @Test("any name survives CSV")
  func csv() throws {
    defer { clean() }
    let path = "\(root)/a.csv"
    try ScoreTable.write(to: path, columns: ScoreColumns(levels: 1)) { table in
      for record in records(paths) { try table!.append(record) }
    }
    let rows = try parse(try text(path))
    #expect(
      rows[0] == [
        "index", "path", "label", "sha256", "class", "log_likelihood", "bits_per_dim",
        "dequantization_constant",
        "log_determinant_0",
        "prior_0", "importance_gain", "error",
      ])
    #expect(rows.dropFirst().map { Array($0[1].unicodeScalars) } == paths.map { Array($0.unicodeScalars) })
    #expect(rows.dropFirst().enumerated().allSatisfy { $1[0] == "\($0)" && $1.count == 12 && $1[5] == "" })
  }

  /// Reads RFC 4180, by scalars.
  private func parse(_ text: String) throws -> [[String]] {
    var rows: [[String]] = []
    var row: [String] = []
    var field = String.UnicodeScalarView()
    var isQuoted = false
    var scalars = Array(text.unicodeScalars)[...]
    while let scalar = scalars.popFirst() {
      switch (isQuoted, scalar) {
      case (true, "\"") where scalars.first == "\"":
        field.append("\"")
        scalars.removeFirst()
      case (_, "\""): isQuoted.toggle()
      case (false, ","), (false, "\n"):
        row.append(String(field))
        field = String.UnicodeScalarView()
        if scalar == "\n" {
          rows.append(row)
          row = []
        }
      default: field.append(scalar)
      }
    }
    #expect(!isQuoted && row.isEmpty)
    return rows
  }

  @Test("what goes wrong leaves no file; other endings are refused; no name means no table")
  func failures() throws {
    defer { clean() }
    #expect(throws: failure) {
      try ScoreTable.write(to: "\(root)/a.csv", columns: ScoreColumns(levels: 1)) { table in
        try table!.append(records(["a"])[0])
        throw failure
      }
    }
    #expect(
      throws: FileError("a.txt", "is not a name for scores, expected one that ends in .jsonl or .csv")
    ) { try ScoreTable.write(to: "a.txt", columns: ScoreColumns(levels: 1)) { _ in } }
    try ScoreTable.write(to: nil, columns: ScoreColumns(levels: 1)) { #expect($0 == nil) }
    #expect(try FileManager.default.contentsOfDirectory(atPath: root).isEmpty)
  }

  /// A folder of faces as PNG files, with whatever else is asked for.
  private func folderOfFaces(_ count: Int, damaged: [Int] = [], small: [Int] = []) throws -> any Dataset {
    for index in 0..<count {
      let path = String(format: "%@/faces/%03d.png", root, index)
      try FileManager.default.createDirectory(atPath: "\(root)/faces", withIntermediateDirectories: true)
      let image = try FaceDataset(count: count, seed: 0, part: .test).image(index)
      var bytes = try PNG.encode(image)
      if damaged.contains(index) { bytes.removeLast(bytes.count / 2) }
      if small.contains(index) { bytes = try PNG.encode(Resizer(size: 16, resizing: .box).resize(image)) }
      try AtomicFile.write(bytes, to: path)
    }
    var options = DataOptions()
    options.modelShape = ImageShape(height: 32, width: 32, channels: 3)
    return try DataSource.open("\(root)/faces", part: .test, options: options).dataset
  }

  /// The lines of a table, without the index and sorted.
  private func lines(
    _ dataset: any Dataset, batch: Int, threads: Int, samples: Int, _ format: String
  ) throws -> [Substring] {
    let path = "\(root)/scores.\(format)"
    var settings = ScoringSettings()
    settings.importanceSamples = samples
    settings.compressor = .png
    settings.onError = .skip
    let scorer = try Scorer(try randomModel(threads: threads), batch: batch)
    var columns = ScoreColumns(levels: 3)
    columns.draws = samples
    columns.detection = DetectionScore.allCases
    columns.meanTrainingBits = 5
    try ScoreTable.write(to: path, columns: columns) { table in
      try scorer.score(dataset, settings) { try table!.append($0) }
    }
    return try text(path).split(separator: "\n").map { $0[$0.firstIndex(of: ",")!...] }.sorted()
  }

  @Test(
    "records are the same bytes whatever the order, the batch, the threads and the neighbors",
    arguments: [1, 3])
  func invariance(samples: Int) throws {
    defer { clean() }
    let faces = try folderOfFaces(70, damaged: [13])
    let order = Philox(seed: 9, purpose: .order).permutation(70)
    let shuffled = SubsetDataset(base: faces, indices: order)
    let expected = try lines(faces, batch: 64, threads: 2, samples: samples, "jsonl")
    #expect(expected.count == 70 && Set(expected).count == 70)
    #expect(expected.count { !$0.hasSuffix("\"error\":null}") } == 1)
    for batch in [1, 7, 64] {
      for threads in [1, 2] {
        #expect(
          try lines(shuffled, batch: batch, threads: threads, samples: samples, "jsonl") == expected,
          "batch \(batch), \(threads) threads")
      }
    }
    let half = SubsetDataset(base: faces, indices: Array(order[..<35]))
    #expect(try Set(lines(half, batch: 64, threads: 2, samples: samples, "jsonl")).isSubset(of: expected))
    let csv = try lines(faces, batch: 64, threads: 2, samples: samples, "csv")
    #expect(try lines(shuffled, batch: 7, threads: 1, samples: samples, "csv") == csv && csv.count == 71)
  }

  @Test("an image that cannot be read fails the job by name, or is skipped with the reason")
  func onError() throws {
    defer { clean() }
    let faces = try folderOfFaces(10, damaged: [3], small: [0, 6])
    var settings = ScoringSettings()
    let scorer = try Scorer(try randomModel(), batch: 4)
    let sizeReason =
      "is 16×16×3, expected 32×32×3 like \(root)/faces/001.png; bring all to one size with --image-size N"
    #expect(throws: FileError("\(root)/faces/000.png", sizeReason)) {
      try scorer.score(faces, settings) { _ in }
    }
    settings.onError = .skip
    var collected = CollectedScores()
    var failures: [Int: FileError] = [:]
    try scorer.score(faces, settings) { record in
      collected.add(record)
      #expect(record.path == faces.source(record.index))
      if case .failure(let error) = record.result { failures[record.index] = error }
    }
    #expect(failures.keys.sorted() == [0, 3, 6] && failures[6]?.reason == sizeReason)
    #expect(failures[3]?.path.hasSuffix("003.png") == true && failures[3]?.reason.contains("damaged") == true)
    #expect(collected.bounds.isEmpty)
    #expect(collected.skipped == 3 && collected.firstFailure == failures[0])
    #expect(try collected.summary().images == 7)
    let good = SubsetDataset(base: faces, indices: [1, 2, 4, 5, 7, 8, 9])
    #expect(try scorer.score(good).bitsPerDimension == collected.summary().bitsPerDimension)
    var none = CollectedScores()
    none.add(records(["a"])[0])
    #expect(throws: TrainingError.self) { try none.summary() }
  }

  @Test("a likelihood that is not finite is an error of its image")
  func notFinite() throws {
    let glow = try randomModel()
    glow.values.base[glow.parameters["level0.split.conv.bias"]!.offset] = .infinity
    try glow.parametersChanged()
    let face = FaceDataset(count: 1, seed: 0, part: .test)
    #expect(throws: FileError("faces#0", "has a log-likelihood that is not finite")) {
      try Scorer(glow, batch: 1).score(face, ScoringSettings()) { _ in }
    }
  }
}

@Suite("Bounds with several draws")
struct ImportanceTests {
  private func scores(_ dataset: any Dataset, samples: Int, _ scorer: Scorer) throws -> [ImageScore] {
    var settings = ScoringSettings()
    settings.importanceSamples = samples
    var result: [ImageScore] = []
    try scorer.score(dataset, settings) { result.append(try $0.result.get()) }
    return result
  }

  @Test("one draw is the usual figure exactly; several begin with it and are their mean in probability")
  func draws() throws {
    let faces = FaceDataset(count: 6, seed: 0, part: .test)
    let glow = try randomModel()
    let scorer = try Scorer(glow, batch: 4)
    let one = try scores(faces, samples: 1, scorer)
    #expect(try one.map(\.nats) == (0..<6).map { try scorer.score(faces.image($0)).nats })
    #expect(
      one.allSatisfy { $0.importanceGain == 0 && $0.bitsPerDimension == $0.likelihood.bitsPerDimension })
    let three = try scores(faces, samples: 3, scorer)
    for score in one + three {
      // One draw against the mean of one draw, whatever the bound.
      let distance = abs(score.likelihood.bitsPerDimension - 5)
      #expect(DetectionScore.typicality.value(score, meanTrainingBits: 5) == distance)
    }
    #expect(three.contains { $0.bitsPerDimension != $0.likelihood.bitsPerDimension })
    #expect(three.map(\.likelihood) == one.map(\.likelihood))
    let workspace = try glow.workspace(batch: 1, purpose: .inference)
    for (index, score) in three.enumerated() {
      let pixels = try faces.image(index).pixels
      let nats = (0..<3).map { draw in
        pixels.withUnsafeBufferPointer {
          let stream = Dequantization.digest($0, draw: draw)
          glow.dequantization.apply(
            $0, noise: Philox(seed: 0, purpose: .evaluation, stream: stream), into: workspace.images)
        }
        return glow.forward(workspace, count: 1)[0].nats
      }
      #expect(Set(nats).count == 3 && nats[0] == one[index].nats)
      let largest = nats.max()!
      let mean = nats.reduce(0) { $0 + exp($1 - largest) } / 3
      #expect(abs(score.nats - (largest + log(mean))) < 1e-9)
    }
  }

  @Test(
    "on photographs the bound of more draws is tighter on average",
    .realData)
  func boundsOfRealData() throws {
    let root = try #require(realData)
    var options = DataOptions()
    options.limit = 128
    let cifar = try DataSource.open("\(root)/cifar-10-batches-bin", part: .test, options: options).dataset
    let scorer = try Scorer(try randomModel(), batch: 64)
    let bounds = try [1, 2, 8].map { samples in
      try scores(cifar, samples: samples, scorer).map(\.nats).reduce(0, +) / 128
    }
    print("mean bound in nats of 1, 2 and 8 draws on CIFAR-10: \(bounds)")
    #expect(bounds[1] > bounds[0] && bounds[2] > bounds[1])
  }
}
