import ArgumentParser
import Foundation
import GlowFlow
import GlowStorage
import GlowTraining

struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect", abstract: "Show what a model is and how well its channel maps are conditioned.")

  @Argument(help: "A .safetensors file or a run folder.") var model: String
  @Flag(help: "List every parameter entry.") var entries = false
  @OptionGroup var weights: WeightArguments
  @OptionGroup var threads: TeamArguments

  func run() throws {
    let (glow, metadata) = try weights.read(model, threads.team())
    for setting in glow.configuration.settings { try answer("\(setting.name): \(setting.value)") }
    try answer("parameters: \(glow.parameters.trainableCount)")
    try answer("kernels: \(glow.kernels)")
    for (key, value) in metadata.sorted(by: { $0.key < $1.key })
    where !key.hasPrefix("crc32.") && key != "glow.configuration" { try answer("\(key): \(value)") }
    if entries {
      for entry in glow.parameters.entries {
        try answer("\(entry.name) \(entry.shape)\(entry.isTrainable ? "" : " (not learned)")")
      }
    }
    let maps = glow.channelMapConditions()
    if maps.isEmpty { return }
    try answer("step: ln |det W| and condition number of W; of A = diag(s)·W, the actnorm's scale included")
    for map in maps {
      try answer(
        String(
          format: "%@: %.4f, %.1f; %.4f, %.1f", map.step, map.mixingLogDeterminant, map.mixingCondition,
          map.logDeterminant, map.condition))
    }
  }
}
