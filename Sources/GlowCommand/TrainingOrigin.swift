import Foundation
import GlowFiles
import GlowFlow
import GlowKernels
import GlowStorage
import GlowTraining

/// What a run goes on with or starts from, if anything: an earlier run in its folder, a model, or both.
struct TrainingOrigin {
  /// The run folder.
  let out: String
  /// The run to go on with.
  let run: RunConfiguration?
  /// Whether that run has a checkpoint, after which nothing depends on what it started from.
  let hasCheckpoint: Bool
  /// Where the model is that the run starts from, or once did.
  let source: String?
  /// That model, if the run is still to start from it.
  let model: StoredModel?

  /// - Throws: `FileError` if there is none to go on with, or what is in the folder stands in the way of a new run;
  ///   as `TrainedWeights.read`.
  init(of command: TrainCommand, team: ThreadTeam, terminal: Terminal) throws {
    out = command.out
    let former = try Self.former(command, terminal)
    (run, hasCheckpoint) = (former?.configuration, former?.isOfCheckpoint == true)
    source = command.initFrom ?? run?.initFrom
    model = hasCheckpoint ? nil : try source.map { try TrainedWeights.read($0, team: team) }
  }

  /// The model whose settings hold where nothing else is asked for, and what it is called.
  var settled: (model: GlowConfiguration, name: String)? {
    if let run { return (run.model, "\(out): the run") }
    return model.map { ($0.glow.configuration, "\(source!): the model to start from") }
  }

  /// The model whose numbers the classes of the images get.
  var namedClasses: (model: GlowConfiguration, metadata: [String: String], path: String)? {
    if let model, let source { return (model.glow.configuration, model.metadata, source) }
    let path = RunFolder(out).model
    guard let run, run.model.isConditional, let file = try? SafetensorsFile(path) else { return nil }
    return (run.model, file.metadata, path)
  }

  /// Says in what a run goes on otherwise.
  ///
  /// - Parameter asked: the model to start from, if one is given.
  /// - Throws: `ConfigurationError` if the run is long since past its start, and started from another model.
  func noteChanges(to new: RunConfiguration, startingFrom asked: String?, _ terminal: Terminal) throws {
    guard let run else { return }
    if hasCheckpoint, let asked, asked != run.initFrom {
      throw ConfigurationError(
        "\(out): the run started from \(run.initFrom ?? "new weights"), asked for --init-from \(asked): leave it out to "
          + "resume")
    }
    for change in run.changes(to: new) { terminal.note("changed: \(change)") }
  }

  /// Says how rate and weight decay go on, if a run that is longer or planned otherwise does not go on with those it had.
  func noteChangedCourse(
    to new: TrainingConfiguration, at step: Int, of imageCount: Int, _ terminal: Terminal
  ) {
    guard let former = run?.training, step > 0 else { return }
    if former.decay != new.decay {
      terminal.note("weight decay: was \(short(former.decay)), is now \(short(new.decay))")
    }
    let rates = [former, new].map { $0.rate(ofStep: step + 1, imageCount: imageCount) }
    if rates[0] == rates[1] { return }
    terminal.note(
      "learning rate: was to go on with \(short(rates[0])), goes on with \(short(rates[1])), and ends at step "
        + "\(new.steps) with \(short(new.rate(ofStep: new.steps, imageCount: imageCount)))")
  }

  private func short(_ rate: Double) -> String { String(format: "%.3g", rate) }

  /// The run to go on with, if it is one and asked for.
  private static func former(
    _ command: TrainCommand, _ terminal: Terminal
  ) throws -> (configuration: RunConfiguration, isOfCheckpoint: Bool)? {
    let (out, folder) = (command.out, RunFolder(command.out))
    if command.resume, let run = try RunConfiguration.resumed(in: folder, note: terminal.note) { return run }
    if command.overwrite { return nil }
    if folder.isInUse {
      throw FileError(
        out, "holds a run already: use --resume to go on with it, --overwrite to remove it, or another folder"
      )
    }
    // A job that always says --resume may keep files of its own there.
    let found = try command.resume ? folder.ownContents() : folder.contents()
    if found.isEmpty { return nil }
    throw FileError(
      out,
      "is not empty and no run to go on with, it holds \(found.prefix(5).joined(separator: ", "))"
        + (found.count > 5 ? ", …" : "") + ": give another folder, or --overwrite to remove a run's files")
  }
}
