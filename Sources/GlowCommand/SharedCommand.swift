import ArgumentParser
import GlowFiles
import GlowFlow
import GlowImages
import GlowKernels
import GlowRanks
import GlowStorage
import GlowTraining

/// A command that several processes can do together. Each goes the same way, and the first one alone writes.
protocol SharedCommand: ParsableCommand {}

extension SharedCommand {
  var ranks: Ranks { GlowCommand.ranks }

  /// Where what goes to `path` goes: of all processes but the first, nowhere.
  func ownPath(_ path: String) -> String { ranks.isFirst ? path : "/dev/null" }

  /// - Throws: `RankFailure` if processes that share out the work have another model, or other images.
  func requireSame(_ glow: Glow<Float>, _ datasets: [any Dataset] = []) throws {
    if ranks.count == 1 { return }
    try ranks.requireSame(
      [
        ("version", Release.version), ("kernels", glow.kernels.identity),
        ("model", SHA256.digest(UnsafeRawBufferPointer(glow.values.values))),
      ] + datasets.map { ("images", try DataDigest.of($0, onError: .skip)) })
  }

  /// As many images at a time as fit for all processes.
  func batchThatFits(_ glow: Glow<Float>, _ most: Int) throws -> Int {
    -(try ranks.largest(-glow.batchThatFits(most)))
  }
}
