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
  @Option(
    help:
      "Processors of the machine that the plan is for, if it is not this one; more than this one has are simulated, and memory is what it takes here (default: those of this one)."
  )
  var cores: Int?
  @Flag(help: "Print one JSON object.") var json = false
  @OptionGroup(title: "Model options") var model: ModelArguments
  @OptionGroup(title: "Training options") var training: TrainingArguments
  @OptionGroup var threads: TeamArguments

  func validate() throws {
    if !(hours > 0 && hours <= 1e6) {
      throw ValidationError("--hours must be above 0 and at most 1000000, not \(hours)")
    }
    if let cores, !(1...4096).contains(cores) {
      throw ValidationError("--cores must be from 1 to 4096, not \(cores)")
    }
    if cores != nil && threads.threads != nil { throw ValidationError("give --cores or --threads, not both") }
    try training.refuseLength(beside: "--hours")
  }

  private struct Line: Encodable {
    let command: String
    let steps, images: Int
    let passes, seconds, imagesPerSecond: Double
    let threads: Int
    /// Whether the speed is predicted from this machine's with fewer threads.
    let isSimulated: Bool
    let memoryMb: Int
    /// Of the products of the couplings' networks.
    let workTflop: Double
    /// Test images of `expectedOf` come to `expectedBitsPerDim`; null where nothing was measured that would tell.
    let expectedBitsPerDim: Nullable
    let expectedOf: NullableValue<String>
    /// Whether the work is outside of what was measured, or there are more passes.
    let isExtrapolated: NullableValue<Bool>
  }

  func run() throws {
    let team = try threads.team(for: cores)
    let threadCount = min(cores ?? team.count, team.kernels.mostThreads)
    if let cores, cores > threadCount {
      remark("--cores \(cores): \(threadCount) are used, the most with the kernels \(team.kernels.rawValue)")
    }
    let isSimulated = threadCount > team.count
    let opened = try images.open(data, .train)
    if let note = opened.note { remark(note) }
    let heldOut = openHeldOut(of: opened, note: remark) { try images.open(data, .test) }
    var open = OpenSettings(model, training)
    let plan = try open.fill(
      by: RunPlanner(
        opened.dataset, heldOut: heldOut?.dataset, team: team, cores: threadCount, seconds: 3600 * hours))
    let command = (["glow", "train"] + given + open.options + ["--out", "RUN"]).map(quoted)
      .joined(separator: " ")
    if json {
      let line = Line(
        command: command, steps: plan.training.steps, images: plan.images, passes: plan.passes,
        seconds: plan.seconds, imagesPerSecond: plan.speed.training, threads: threadCount,
        isSimulated: isSimulated,
        memoryMb: plan.speed.memory.bytes / 1_000_000, workTflop: plan.work,
        expectedBitsPerDim: Nullable(plan.expectation?.bitsPerDimension),
        expectedOf: NullableValue(plan.expectation?.data.rawValue),
        isExtrapolated: NullableValue(plan.isExtrapolated))
      return try answer(jsonLine(line))
    }
    try answer(command)
    try answer(
      counted(plan.images, "image") + String(format: ", %.1f passes; ", plan.passes)
        + Terminal.time(plan.seconds) + String(format: " at %.1f images/s", plan.speed.training)
        + " with \(counted(threadCount, "thread"))\(isSimulated ? " (simulated)" : ""); about \(megabytes(plan.speed.memory.bytes)) of memory"
    )
    try answer(plan.outlook)
  }

  /// The options of this command that are those of the run too, as they were given.
  private var given: [String] {
    var result: [String] = []
    var isValue = false
    for argument in CommandLine.arguments.dropFirst(2) {
      let own = ["--hours", "--cores"]
      defer { isValue = own.contains(argument) }
      if !isValue && argument != "--json"
        && !own.contains(where: { argument == $0 || argument.hasPrefix($0 + "=") })
      {
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
