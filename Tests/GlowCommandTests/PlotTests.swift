import Foundation
import GlowFiles
import GlowFlow
import GlowImages
import GlowPlots
import GlowTraining
import Testing

@testable import GlowCommand

@Suite("glow plot")
struct PlotTests {
  private let root = FileManager.default.temporaryDirectory.appending(path: "glow-plot-\(UUID())").path

  private func run(_ name: String, _ metrics: String) throws -> String {
    let folder = "\(root)/\(name)"
    try FileManager.default.createDirectory(atPath: "\(folder)/samples", withIntermediateDirectories: true)
    try AtomicFile.write(metrics, to: "\(folder)/metrics.jsonl")
    return folder
  }

  /// Lines of a run of `count` steps, every fourth with an evaluation.
  private func lines(_ count: Int) -> String {
    var text = ""
    for step in 1...count {
      let begin = #"{"step":\#(step),"images":\#(step * 64),"epoch":0,"seconds":1,"#
      let bits = 4 + 1 / Double(step)
      text += begin + #""train_bits_per_dim":\#(bits),"learning_rate":0.001,"images_per_second":80}"# + "\n"
      if step % 4 == 0 { text += begin + #""test_bits_per_dim":4.5}"# + "\n" }
    }
    return text
  }

  private func plot(_ arguments: String...) throws {
    let command = try #require(try GlowCommand.parseAsRoot(["plot"] + arguments) as? PlotCommand)
    try command.run()
  }

  /// Pixels of a color.
  private func count(_ color: Color, in picture: ByteImage) -> Int {
    let bytes = [color.red, color.green, color.blue].map { UInt8(($0 * 255).rounded()) }
    return stride(from: 0, to: picture.pixels.count, by: 3).count {
      Array(picture.pixels[$0..<$0 + 3]) == bytes
    }
  }

  @Test("draws one run, several, and runs that have logged little")
  func curves() throws {
    defer { try? FileManager.default.removeItem(atPath: root) }
    let (long, short) = (try run("long", lines(40)), try run("short", lines(1)))
    let out = "\(root)/out.png"
    for (runs, colors) in [([long], 2), ([short], 1), ([long, short], 2)] {
      let command = try #require(
        try GlowCommand.parseAsRoot(["plot"] + runs + ["--out", out]) as? PlotCommand)
      try command.run()
      let picture = try PNG.read(out)
      #expect(picture.shape == ImageShape(height: 1120, width: 1120, channels: 3))
      // The colors of the runs or, of one run, those of training and test as far as they are logged.
      let drawn = Color.palette.map { count($0, in: picture) }
      for index in 0..<3 { #expect((drawn[index] > 20) == (index < colors), "\(runs.count): \(drawn)") }
      try FileManager.default.removeItem(atPath: out)
    }
    let empty = try run("empty", "{\"step\":1,\"images\":1,\"epoch\":0,\"seconds\":0}\n")
    #expect(throws: DrawingError("empty: nothing is logged that can be drawn")) {
      try plot(empty, "--out", out)
    }
    #expect(throws: FileError.self) { try plot("\(root)/missing", "--out", out) }
    #expect(!FileManager.default.fileExists(atPath: out))
  }

  @Test("a logarithmic axis begins at the first value and gives equal factors equal distances")
  func logarithmic() throws {
    defer { try? FileManager.default.removeItem(atPath: root) }
    let history = try TrainingHistory(RunFolder(run("run", lines(64))))
    let runs = [TrainingChart.Run(name: "run", history: history, threads: 1)]
    func charts(_ isLogarithmic: Bool) throws -> [LineChart] {
      try TrainingChart(runs: runs, isLogarithmic: isLogarithmic).column().charts.map {
        try #require($0 as? LineChart)
      }
    }
    #expect(try charts(false).allSatisfy { $0.horizontalRange?.lowerBound == 0 })
    for chart in try charts(true) {
      #expect(chart.hasLogarithmicHorizontalAxis && chart.horizontalRange == 64 / 1.04...64 * 64 * 1.04)
    }
    // The first value alone, 5, leaves the picture.
    #expect(try #require(try charts(true)[0].verticalRange).upperBound < 4.6)
    let out = "\(root)/out.png"
    for options in [[], ["--against", "hours"]] as [[String]] {
      try #require(
        try GlowCommand.parseAsRoot(["plot", "\(root)/run", "--logarithmic", "--out", out] + options)
          as? PlotCommand
      ).run()
      #expect(count(Color.palette[1], in: try PNG.read(out)) > 20)
    }
    #expect(throws: (any Error).self) {
      try GlowCommand.parseAsRoot(["plot", "\(root)/run", "--logarithmic", "--samples", out])
    }
  }

  @Test("seeds of one share a color and a key if asked for")
  func seeds() throws {
    defer { try? FileManager.default.removeItem(atPath: root) }
    let runs = try ["deep-1", "deep-2", "wide-1"].map { try run($0, lines(8)) }
    let out = "\(root)/out.png"
    for (options, colors) in [([], 3), (["--seeds"], 2)] {
      let command = try #require(
        try GlowCommand.parseAsRoot(["plot"] + runs + ["--out", out] + options) as? PlotCommand)
      try command.run()
      let drawn = Color.palette.map { count($0, in: try! PNG.read(out)) }
      for index in 0..<4 { #expect((drawn[index] > 20) == (index < colors), "\(options): \(drawn)") }
      try FileManager.default.removeItem(atPath: out)
    }
    #expect(
      ["deep-12", "8x128", "-3", "a-b"].map(PlotCommand.withoutSeed) == ["deep", "8x128", "-3", "a-b"])
    let shown = try zip(["deep", "deep", "wide"], runs).map {
      TrainingChart.Run(name: $0, history: try TrainingHistory(RunFolder($1)), threads: 1)
    }
    let chart = try #require(try TrainingChart(runs: shown).column().charts[0] as? LineChart)
    #expect(chart.series.map(\.name).filter { !$0.isEmpty } == ["deep", "wide"])
  }

  @Test("quantities that are absent have no panel; the legend has a key a run")
  func panels() throws {
    defer { try? FileManager.default.removeItem(atPath: root) }
    let all = TrainingChart.Run(
      name: "all", history: try TrainingHistory(RunFolder(try run("a", lines(8)))), threads: 1)
    let test = #"{"step":1,"images":64,"epoch":0,"seconds":1,"test_bits_per_dim":4.5}"# + "\n"
    let tested = TrainingChart.Run(
      name: "tested", history: try TrainingHistory(RunFolder(try run("t", test))), threads: 1)
    #expect(try TrainingChart(runs: [all]).column().charts.count == 3)
    #expect(try TrainingChart(runs: [tested]).column().charts.count == 1)
    let both = try #require(try TrainingChart(runs: [all, tested]).column().charts.first as? LineChart)
    #expect(both.series.map(\.name) == ["", "all", "tested"])
    #expect(both.series[0].color == both.series[1].color && both.series[1].color != both.series[2].color)
    #expect(both.verticalTitle == "bits/dim (train thin, test with points)")
    let two = try #require(try TrainingChart(runs: [tested, tested]).column().charts.first as? LineChart)
    #expect(two.verticalTitle == "test bits/dim")
  }

  @Test("the loss of a model that normalizes by the batch is no bits/dim")
  func batchLoss() throws {
    defer { try? FileManager.default.removeItem(atPath: root) }
    let line = #"{"step":1,"images":64,"epoch":0,"seconds":1,"loss":4.5,"learning_rate":0.001}"# + "\n"
    let run = TrainingChart.Run(
      name: "run", history: try TrainingHistory(RunFolder(try run("a", line))), threads: 1)
    let charts = try TrainingChart(runs: [run]).column().charts.compactMap { $0 as? LineChart }
    #expect(charts.map(\.verticalTitle) == ["loss (statistics of the batch)", "learning rate"])
    #expect(charts[0].series.map(\.points) == [[Point(64, 4.5)]])
  }

  @Test("curves stand against images, hours of training, or core-hours; several axes are side by side")
  func axes() throws {
    defer { try? FileManager.default.removeItem(atPath: root) }
    let lines = [(64, 1800), (128, 5400)].map { images, seconds in
      #"{"step":1,"images":\#(images),"epoch":0,"seconds":\#(seconds),"test_bits_per_dim":4.5}"# + "\n"
    }
    let run = TrainingChart.Run(
      name: "run", history: try TrainingHistory(RunFolder(try run("a", lines.joined()))), threads: 4)
    for (axis, places, title) in [
      (TrainingChart.Axis.images, [64.0, 128], "images seen"), (.hours, [0.5, 1.5], "hours"),
      (.coreHours, [2, 6], "core-hours"),
    ] {
      let chart = try #require(
        try TrainingChart(runs: [run], axis: axis).column().charts.first as? LineChart)
      #expect(chart.series[0].points.map(\.x) == places)
      #expect(chart.horizontalTitle == title)
      #expect(chart.horizontalRange == 0...places[1] * 1.01)
    }
    let (folder, out) = ("\(root)/a", "\(root)/out.png")
    try plot(folder, "--against", "images,core-hours", "--out", out)
    #expect(try PNG.read(out).shape == ImageShape(height: 1120, width: 2240, channels: 3))
    for bad in ["images,", "images,images", "days"] {
      #expect(throws: (any Error).self) { try plot(folder, "--against", bad, "--out", out) }
    }
  }

  @Test("runs are named by the ends of their paths, or by the paths where those are alike")
  func names() {
    #expect(PlotCommand.names(["a/x", "b/y/"]) == ["x", "y"])
    #expect(PlotCommand.names(["a/x", "b/x"]) == ["a/x", "b/x"])
    #expect(PlotCommand.names(["/"]) == ["/"])
  }

  @Test("sample grids become rows of one sheet")
  func samples() throws {
    defer { try? FileManager.default.removeItem(atPath: root) }
    let folder = try run("run", lines(1))
    let out = "\(root)/out.png"
    let json = String(
      decoding: try JSONEncoder().encode(
        RunConfiguration(data: "faces", model: GlowConfiguration(), training: TrainingConfiguration())),
      as: UTF8.self)
    #expect(throws: FileError(folder, "is not a run folder: it has no config.json")) {
      try plot(folder, "--samples", out)
    }
    try AtomicFile.write(json, to: "\(folder)/config.json")
    #expect(throws: FileError.self) { try plot(folder, "--samples", out) }
    let faces = FaceDataset(count: 6, seed: 0, part: .train)
    let images = try (0..<6).map { try faces.image($0) }
    for step in [100, 200, 300] {
      try PNG.write(ImageGrid.arrange(images, columns: 3), to: "\(folder)/samples/\(step).png")
    }
    try plot(folder, "--samples", out)
    let sheet = try PNG.read(out)
    #expect(sheet.shape.height == 20 + 3 * 64 + 2 * 2)
    try plot(folder, "--samples", out, "--rows", "2")
    #expect(try PNG.read(out).shape.height == 20 + 2 * 64 + 2)
    try PNG.write(images[0], to: "\(folder)/samples/400.png")
    try plot(folder, "--samples", out)
    let other = ByteImage(
      shape: ImageShape(height: 9, width: 9, channels: 3), pixels: .init(repeating: 0, count: 243))
    try PNG.write(other, to: "\(folder)/samples/500.png")
    #expect(
      throws: FileError("\(folder)/samples/500.png", "is 9×9×3, expected a grid of 32×32×3 images")
    ) { try plot(folder, "--samples", out) }
  }

  @Test("an even selection keeps the first and the last")
  func selection() {
    #expect(SampleHistory.selection(of: 3, limit: 5) == [0, 1, 2])
    #expect(SampleHistory.selection(of: 5, limit: 5) == [0, 1, 2, 3, 4])
    #expect(SampleHistory.selection(of: 9, limit: 3) == [0, 4, 8])
    #expect(SampleHistory.selection(of: 100, limit: 4) == [0, 33, 66, 99])
    #expect(SampleHistory.selection(of: 100, limit: 1) == [99])
    #expect(
      SampleHistory.label(500, batch: 64) == "32k images"
        && SampleHistory.label(20000, batch: 64) == "1.28M images")
  }

  @Test("what to write must be said")
  func usage() {
    for arguments in [
      [], ["--out", "x.jpg"], ["b", "--samples", "x.png"], ["--samples", "x.png", "--rows", "0"],
    ] {
      #expect(throws: (any Error).self) { try GlowCommand.parseAsRoot(["plot", "a"] + arguments) }
    }
  }
}
