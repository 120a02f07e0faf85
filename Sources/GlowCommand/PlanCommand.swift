import ArgumentParser
import Foundation
import GlowFlow
import GlowImages
import GlowKernels
import GlowTraining

struct PlanCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan", abstract: "Say how to train in a given time, and what to expect of it.",
    discussion: """
      Measures this machine for a few seconds. The first line of the answer is the command; what it comes to is a law of \
      runs that were measured. glow train --budget does the same at once.
      """)

  @Option(help: dataHelp) var data: String
  @OptionGroup var images: ImageArguments
  @Option(help: "Hours that training may take, such as 3 or 0.25.") var hours: Double
  @Flag(help: "Print one JSON object.") var json = false
  @OptionGroup(title: "Model options") var model: ModelArguments
  @OptionGroup(title: "Training options") var training: TrainingArguments
  @OptionGroup var threads: TeamArguments

  func validate() throws {
    if !(hours > 0 && hours <= 1e6) {
      throw ValidationError("--hours must be above 0 and at most 1000000, not \(hours)")
    }
    try training.refuseLength(beside: "--hours")
  }

  private struct Line: Encodable {
    let command: String
    let steps, images: Int
    let passes, seconds, imagesPerSecond: Double
    let threads, memoryMb: Int
    /// Of the products of the couplings' networks.
    let workTflop: Double
    /// Test images of `expectedOf` come to `expectedBitsPerDim`; null where nothing was measured that would tell.
    let expectedBitsPerDim: Nullable
    let expectedOf: NullableValue<String>
    /// Whether the work is outside of what was measured.
    let isExtrapolated: NullableValue<Bool>
  }

  func run() throws {
    let team = try threads.team()
    let opened = try images.open(data, .train)
    if let note = opened.note { remark(note) }
    let heldOut = openHeldOut(of: opened, note: remark) { try images.open(data, .test) }
    var open = OpenSettings(model, training)
    let plan = try open.fill(
      by: RunPlanner(opened.dataset, heldOut: heldOut?.dataset, team: team, seconds: 3600 * hours))
    let command = (["glow", "train"] + given + open.options + ["--out", "RUN"]).map(quoted)
      .joined(separator: " ")
    let passes = Double(plan.images) / Double(opened.dataset.count)
    if json {
      let line = Line(
        command: command, steps: plan.training.steps, images: plan.images, passes: passes,
        seconds: plan.seconds, imagesPerSecond: plan.speed.training, threads: team.count,
        memoryMb: plan.speed.memory.bytes / 1_000_000, workTflop: plan.work,
        expectedBitsPerDim: Nullable(plan.expectation?.bitsPerDimension),
        expectedOf: NullableValue(plan.expectation?.data.rawValue),
        isExtrapolated: NullableValue(plan.isExtrapolated))
      return try answer(jsonLine(line))
    }
    try answer(command)
    try answer(
      counted(plan.images, "image") + String(format: ", %.1f passes; ", passes)
        + Terminal.time(plan.seconds) + String(format: " at %.1f images/s", plan.speed.training)
        + " with \(counted(team.count, "thread")); about \(megabytes(plan.speed.memory.bytes)) of memory")
    try answer(plan.outlook)
  }

  /// The options of this command that are those of the run too, as they were given.
  private var given: [String] {
    var result: [String] = []
    var isValue = false
    for argument in CommandLine.arguments.dropFirst(2) {
      defer { isValue = argument == "--hours" }
      if !isValue && argument != "--json" && argument != "--hours" && !argument.hasPrefix("--hours=") {
        result.append(argument)
      }
    }
    return result
  }

  /// As a shell takes it for one word.
  private func quoted(_ word: String) -> String {
    let plain = word.allSatisfy { $0.isLetter || $0.isNumber || "-_./=,:+".contains($0) }
    return plain && !word.isEmpty ? word : "'\(word.replacing("'", with: "'\\''"))'"
  }
}
