import GlowTraining

extension ScoreProvenance {
  /// For a person to read: the options that matter for the scores, and the digests.
  var lines: [String] {
    let options =
      ["dequantization \(dequantization)", "seed \(seed)"]
      + (importanceSamples > 1 ? ["\(importanceSamples) draws"] : [])
      + [("--class", classes), ("--shard", shard)].compactMap { name, value in value.map { "\(name) \($0)" } }
      + imageOptions.options
    return [
      options.joined(separator: ", "),
      "version \(version), kernels \(kernels), SHA-256 of the weights \(modelSha256)"
        + (dataSha256.map { ", of the images \($0)" } ?? ""),
    ]
  }
}
