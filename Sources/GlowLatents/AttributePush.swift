import GlowImages

/// What becomes of images that are pushed along an attribute's vector, as a probe reads it.
package struct AttributePush: Sendable {
  package let strength: Double
  /// The share of images that seem to have the attribute pushed for.
  package let reached: Double
  /// For each attribute the share of images whose reading is another than before.
  package let changed: [Double]

  /// The largest change of an attribute not pushed for.
  package func largestSideEffect(of attribute: Int) -> Double {
    changed.enumerated().filter { $0.offset != attribute }.map(\.element).max() ?? 0
  }

  /// The weakest push after which at least `share` of the images seem to have the attribute; where there is none, the
  /// one that most do after.
  ///
  /// - Parameter pushes: at least one, from the weakest on.
  package static func weakest(of pushes: [AttributePush], reaching share: Double) -> AttributePush {
    pushes.first { $0.reached >= share } ?? pushes.max { $0.reached < $1.reached }!
  }

  /// Pushes images to ε + strength·vector and reads them.
  ///
  /// - Parameters:
  ///   - latents: of the images.
  ///   - attribute: which the vector stands for.
  /// - Throws: `LinearAlgebraError` if a channel map of the model has no inverse.
  package static func measure(
    _ latents: [[Float]], along vector: [Float], of attribute: Int, strengths: [Double],
    space: LatentSpace, probe: AttributeProbe
  ) throws -> [AttributePush] {
    let before = try space.decode(latents).map(probe.read)
    return try strengths.map { strength in
      let pushed = latents.map { LatentPath.shifted($0, by: [vector], strength: strength) }
      let after = try space.decode(pushed).map(probe.read)
      let count = Double(latents.count)
      return AttributePush(
        strength: strength, reached: Double(after.count { $0[attribute] }) / count,
        changed: probe.names.indices.map { index in
          Double(zip(before, after).count { $0[index] != $1[index] }) / count
        })
    }
  }
}
