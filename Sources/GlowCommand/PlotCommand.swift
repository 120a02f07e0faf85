import ArgumentParser
import GlowImages
import GlowPlots
import GlowTraining

struct PlotCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plot",
    abstract: "Draw what a run has logged: bits/dim, learning rate and images/s against images seen or time."
  )

  @Argument(help: "Run folders; the curves of several are laid over each other.") var runs: [String]
  @Option(help: "The PNG to write the curves to.") var out: String?
  @Option(
    help: ArgumentHelp(
      "What the curves are drawn against: images (default), hours of training or core-hours (times the threads of a "
        + "process); or several, such as images,hours, side by side.", valueName: "axes"))
  var against: TrainingChart.Axes?
  @Flag(help: "Draw a logarithmic horizontal axis, in place of a linear one.") var logarithmic = false
  @Flag(
    help: """
      Runs whose names differ in a last number alone, as affine-1 and affine-2, are seeds of one: they share a \
      color and a key.
      """)
  var seeds = false
  @Option(help: "The PNG to write the sample grids to, a row a grid.") var samples: String?
  @Option(help: "Rows of --samples at most.") var rows = 12
  @OptionGroup var log: LogArguments

  func validate() throws {
    if out == nil && samples == nil { throw ValidationError("give --out, --samples or both") }
    if logarithmic && out == nil { throw ValidationError("--logarithmic is for --out") }
    for destination in destinations { try destination.checkName() }
    if samples != nil && runs.count != 1 {
      throw ValidationError("--samples shows one run, not \(runs.count)")
    }
    if !(1...1000).contains(rows) { throw ValidationError("--rows must be 1 to 1000, not \(rows)") }
  }

  private var destinations: [Destination] {
    [("--out", out), ("--samples", samples)].compactMap { option, path in
      path.map { Destination(option, $0, .png) }
    }
  }

  func run() throws {
    try Destination.prepare(destinations, inputs: runs, data: runs.map { "\($0)/samples" })
    if let out {
      let names = PlotCommand.names(runs)
      let shown = try zip(names, runs).map { name, run in
        TrainingChart.Run(
          name: seeds ? PlotCommand.withoutSeed(name) : name, history: try TrainingHistory(RunFolder(run)),
          threads: RunFolder.configuration(ofModel: run)?.threads ?? 1)
      }
      let panels = try (against?.values ?? [.images]).map {
        try TrainingChart(runs: shown, axis: $0, isLogarithmic: logarithmic).column()
      }
      try PNG.write(ChartRow(panels).image(width: 560 * panels.count, height: 560), to: out)
    }
    if let samples {
      try PNG.write(SampleHistory(folder: RunFolder(runs[0]), rowLimit: rows).sheet(), to: samples)
    }
  }

  /// The last parts of the paths, or the paths where those are not all different.
  static func names(_ paths: [String]) -> [String] {
    let names = paths.map { $0.split(separator: "/").last.map(String.init) ?? $0 }
    return Set(names).count == names.count ? names : paths
  }

  /// "affine" of "affine-2".
  static func withoutSeed(_ name: String) -> String {
    name.wholeMatch(of: /(.+)-[0-9]+/).map { String($0.1) } ?? name
  }
}
