import ArgumentParser
import Foundation
import GlowImages
import GlowTraining

/// Writes a line to stderr.
func warn(_ message: String) { writeError("warning: \(message)") }

private func writeError(_ line: String) { FileHandle.standardError.write(Data("\(line)\n".utf8)) }

/// One JSON object on one line, with sorted keys in snake case.
func jsonLine(_ value: some Encodable) throws -> String {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  encoder.keyEncodingStrategy = .convertToSnakeCase
  return String(decoding: try encoder.encode(value), as: UTF8.self)
}

/// Says on stderr how many images have no score, and why the first has none.
func warnOfSkipped(_ scores: CollectedScores, _ data: String) {
  guard let failure = scores.firstFailure else { return }
  warn("\(data): \(scores.skipped) images were skipped; the first: \(failure)")
}

/// Does a job that a signal may end: what it is writing is then removed, and the exit status is 128 + the signal's
/// number.
func endingAtSignals(_ job: () throws -> Void) throws {
  Interruption.install()
  do { try job() } catch let error as InterruptedError {
    writeError(
      "interrupted by signal \(error.signal): the scores of this pass are incomplete and were not kept")
    throw ExitCode(128 + error.signal)
  }
}

/// Scores a data set until a signal asks to end.
///
/// - Throws: `InterruptedError` if one does; what `Scorer.score` throws.
func scoreUntilSignal(
  _ dataset: any Dataset, _ scorer: Scorer, _ settings: ScoringSettings, _ body: (ScoreRecord) throws -> Void
) throws {
  try scorer.score(dataset, settings, shouldStop: { Interruption.signal != nil }, body)
  try Interruption.check()
}
