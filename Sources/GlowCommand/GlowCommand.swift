import ArgumentParser

@main
struct GlowCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "glow",
    abstract: "Glow (Kingma & Dhariwal 2018) on CPUs: train, score images in bits/dim, sample.",
    version: "0.1.0",
    subcommands: [
      TrainCommand.self, EvaluateCommand.self, SampleCommand.self, ReconstructCommand.self,
      EncodeCommand.self, DecodeCommand.self, InterpolateCommand.self, AttributeCommand.self,
      ManipulateCommand.self, SheetCommand.self,
      DetectCommand.self,
      InspectCommand.self,
      PlotCommand.self, BenchCommand.self, ImportCommand.self, ExportCommand.self, DataCommand.self,
    ])
}
