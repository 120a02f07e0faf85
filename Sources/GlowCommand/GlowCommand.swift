import ArgumentParser
import Glibc
import GlowFiles
import GlowFlow
import GlowRanks
import GlowStorage
import GlowTraining

@main
struct GlowCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "glow",
    abstract:
      "Normalizing flows (Glow, RealNVP) on CPUs: score images in bits/dim, detect what does not belong, sample.",
    version: Release.version,
    subcommands: [
      TrainCommand.self, PlanCommand.self, EvaluateCommand.self, SampleCommand.self, ReconstructCommand.self,
      EncodeCommand.self, DecodeCommand.self, InterpolateCommand.self, AttributeCommand.self,
      ManipulateCommand.self, SheetCommand.self,
      DetectCommand.self, CompareCommand.self,
      InspectCommand.self,
      PlotCommand.self, BenchCommand.self, ImportCommand.self, ExportCommand.self, DataCommand.self,
      ManualCommand.self,
    ])

  static func main() {
    OpenBLASKernels.choose()
    Installation.useOwnFont()
    StandardStreams.open()
    Log.choose(Array(CommandLine.arguments.dropFirst()))
    // Before any signal is caught: Open MPI must not take them over.
    do { ranks = try Ranks.join() } catch { end(error) }
    Interruption.message = {
      Log.line(.error, "interrupted by signal \($0): what was being written is not kept")
    }
    Interruption.isSilent = !ranks.isFirst
    ranks.describe = { exitCode(for: $0) == .validationFailure ? usage($0) : message(for: $0) }
    Interruption.install()
    Crash.install()
    do {
      try ranks.job(parseAndRun, unheard: { Log.sayAnyway("\($0)") })
      ranks.leave()
      endProcess(0)
    } catch let error as RankFailure {
      if ranks.isFirst { say(error.cause ?? error) }
      ranks.leave()
      // One status is enough; that of the first process is the job's.
      endProcess(ranks.isFirst ? exitCode(for: error.cause ?? error).rawValue : 0)
    } catch { end(error) }
  }

  /// The processes that do the command together.
  nonisolated(unsafe) private(set) static var ranks = Ranks.one

  private static func parseAndRun() throws {
    let arguments = Array(CommandLine.arguments.dropFirst())
    var command: any ParsableCommand
    do {
      try Spelling.checkCommand(arguments)
      command = try parseAsRoot(arguments)
    } catch {
      // A name that is misspelt is a better reason than what is missing because of it.
      if exitCode(for: error) == .validationFailure { try Spelling.checkOptions(arguments) }
      throw error
    }
    if ranks.count > 1, !(command is any SharedCommand) {
      let name = type(of: command).configuration.commandName ?? "this command"
      throw ConfigurationError("\(name) is the work of one process, and mpirun has started \(ranks.count)")
    }
    try command.run()
    try StandardStreams.finish()
  }

  /// What is wrong with the command line, in one line.
  private static func usage(_ error: any Error) -> String {
    let reason = Self.message(for: error).split(separator: "\n").joined(separator: " ")
    let name = CommandLine.arguments.dropFirst().first { Spelling.isCommand($0) }
    return "Error: \(reason) (glow help\(name.map { " \($0)" } ?? "") shows what there is)"
  }

  /// Ends the process with what an error has to say: help, for instance, is one with status 0.
  private static func end(_ error: any Error) -> Never {
    say(error)
    endProcess(exitCode(for: error).rawValue)
  }

  private static func say(_ error: any Error) {
    let status = exitCode(for: error).rawValue
    let message = fullMessage(for: error)
    if status == 0 {
      do {
        if !message.isEmpty { try answer(message) }
        try StandardStreams.finish()
      } catch { end(error) }
    } else {
      if !message.isEmpty {
        Log.say(.error, status == ExitCode.validationFailure.rawValue ? usage(error) : message)
      }
      Unfinished.removeIfPossible()
    }
  }

  /// Ends the process without the libraries' own endings: OpenBLAS waits in its for threads that never end where there is
  /// no room for their buffers. Nothing is left to be written, streams of C have no part in it.
  private static func endProcess(_ status: Int32) -> Never {
    #if COVERAGE
      Glibc.exit(status)
    #else
      _exit(status)
    #endif
  }
}
