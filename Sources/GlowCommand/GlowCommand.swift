import ArgumentParser
import Glibc
import GlowFiles
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
      TrainCommand.self, EvaluateCommand.self, SampleCommand.self, ReconstructCommand.self,
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
    Interruption.message = {
      Log.line(.error, "interrupted by signal \($0): what was being written is not kept")
    }
    Interruption.install()
    Crash.install()
    do {
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
      try command.run()
      try StandardStreams.finish()
      endProcess(0)
    } catch { end(error) }
  }

  /// What is wrong with the command line, in one line.
  private static func usage(_ error: any Error) -> String {
    let reason = Self.message(for: error).split(separator: "\n").joined(separator: " ")
    let name = CommandLine.arguments.dropFirst().first { Spelling.isCommand($0) }
    return "Error: \(reason) (glow help\(name.map { " \($0)" } ?? "") shows what there is)"
  }

  /// Ends the process with what an error has to say: help, for instance, is one with status 0.
  private static func end(_ error: any Error) -> Never {
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
    endProcess(status)
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
