import ArgumentParser
import Foundation
import GlowFlow
import GlowImages
import GlowKernels
import GlowLatents
import GlowStorage
import GlowTraining

/// Whether attribute vectors do what they should, on the built-in faces, whose truth is known: a probe on pixels
/// reads faces that were pushed along each vector.
@main
struct AttributeStudy: ParsableCommand {
  @Argument(help: "A model of the built-in faces.") var model: String
  @Option(help: "Faces to find the vectors from.") var train = 10_000
  @Option(help: "Faces without the attribute to push.") var push = 500
  @Option(help: "The PNG of pushed faces to write.") var out: String?

  private static let strengths = [0.5, 0.75, 1, 1.25, 1.5, 2, 2.5, 3]

  func run() throws {
    let glow = try ModelFile.read(model, as: Float.self, team: ThreadTeam()).glow
    let space = LatentSpace(glow, batch: 64)
    let faces = FaceDataset(count: train, seed: 0, part: .train)
    let probe = try AttributeProbe(faces)
    let heldOut = FaceDataset(count: 2_000, seed: 0, part: .test)
    print("Accuracy of the probe on \(heldOut.count) faces held out:")
    for (name, accuracy) in zip(probe.names, try probe.accuracy(on: heldOut)) {
      print(String(format: "- %@ %.1f %%", name, 100 * accuracy))
    }
    let (independent, correlated) = try statistics(faces, glow)
    for (title, statistics) in [
      ("independent", independent), (String(format: "correlated", correlated.correlation(0, 1)), correlated),
    ] {
      for orthogonal in [false, true] {
        print(
          "\n\(title), \(orthogonal ? "partial effects" : "mean differences") of \(statistics.count) faces\n")
        let vectors = try probe.names.indices.map {
          try orthogonal ? statistics.partialEffect($0) : statistics.meanDifference($0)
        }
        let rows = try vectors.enumerated().map { attribute, vector in
          try AttributePush.measure(
            lacking(attribute, heldOut, space), along: vector, of: attribute, strengths: Self.strengths,
            space: space, probe: probe)
        }
        for (name, row) in zip(probe.names, rows) {
          for push in row { print(name, push.strength, push.reached, push.changed) }
        }
      }
    }
  }

  /// Statistics of all faces, and of a part in which four of five are smiling and blond or neither.
  private func statistics(
    _ faces: FaceDataset, _ glow: Glow<Float>
  ) throws -> (independent: AttributeStatistics, correlated: AttributeStatistics) {
    let attributes = DatasetAttributes(faces)
    var independent = AttributeStatistics(names: attributes.names, size: glow.latentCount)
    var correlated = independent
    try Scorer(glow).encode(faces) { index, latents in
      let values = attributes.values(index)
      independent.add(latents, attributes: values)
      if values[0] == values[1] || index % 4 == 0 { correlated.add(latents, attributes: values) }
    }
    return (independent, correlated)
  }

  private func lacking(_ attribute: Int, _ faces: FaceDataset, _ space: LatentSpace) throws -> [[Float]] {
    let chosen = (0..<faces.count).filter { !faces.attributes($0)![attribute] }.prefix(push)
    return try space.encode(chosen.map { try faces.image($0) })
  }
}
