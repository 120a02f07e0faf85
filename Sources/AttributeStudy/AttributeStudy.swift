import ArgumentParser
import Foundation
import GlowFlow
import GlowImages
import GlowKernels
import GlowLatents
import GlowPlots
import GlowStorage
import GlowTraining

/// Whether attribute vectors do what they should, on the built-in faces, whose truth is known: faces without an
/// attribute are pushed along its vector, and a probe on pixels reads what has become of them.
@main
struct AttributeStudy: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "AttributeStudy", abstract: "Measure attribute vectors on the built-in faces.")

  @Argument(help: "A model of the built-in faces.") var model: String
  @Option(help: "Faces to fit the probe and find the vectors from.") var train = 10_000
  @Option(help: "Faces without the attribute to push, out of a test set of 2,000.") var push = 500
  @Option(parsing: .upToNextOption, help: "How many times a vector is added.")
  var strengths = [0.9, 1, 1.2, 1.4, 1.6, 1.8, 2, 2.2]
  @Option(help: "The PNG of pushed faces to write.") var out: String?
  @Flag(help: "Print every strength, not the best alone.") var sweep = false

  private var heldOut: FaceDataset { FaceDataset(count: 2_000, seed: 0, part: .test) }

  func validate() throws {
    if !(100...1_000_000).contains(train) {
      throw ValidationError("--train must be 100 to 1000000, not \(train)")
    }
    if strengths.isEmpty || strengths.contains(where: { !$0.isFinite }) {
      throw ValidationError("--strengths must be finite numbers, at least one")
    }
    if !(1...900).contains(push) { throw ValidationError("--push must be 1 to 900, not \(push)") }
  }

  func run() throws {
    let glow = try ModelFile.read(model, as: Float.self, team: ThreadTeam()).glow
    let space = try LatentSpace(glow, batch: 64)
    if space.shape != heldOut.shape {
      throw ConfigurationError("\(model) is a model of \(space.shape) images, expected \(heldOut.shape)")
    }
    let faces = FaceDataset(count: train, seed: 0, part: .train)
    let probe = try AttributeProbe(faces)
    print("Accuracy of the probe on \(heldOut.count) faces held out:", terminator: " ")
    print(
      zip(probe.names, try probe.accuracy(on: heldOut)).map { String(format: "%@ %.1f %%", $0, 100 * $1) }
        .joined(separator: ", "))
    let (independent, correlated) = try statistics(faces, glow)
    for (statistics, title) in [
      (independent, "Labels independent"),
      (
        correlated,
        String(format: "Smiling and Blond_Hair correlated (%.2f)", correlated.correlation(0, 1))
      ),
    ] {
      for orthogonal in [false, true] {
        let vectors = try probe.names.indices.map {
          try orthogonal ? statistics.partialEffect($0) : statistics.meanDifference($0)
        }
        print(
          "\n\(title): \(orthogonal ? "orthogonalized vectors" : "mean differences"), \(statistics.count) faces\n"
        )
        let best = try measure(vectors, space, probe)
        if let out, !orthogonal && statistics.count == independent.count {
          try PNG.write(sheet(vectors, best, probe.names, space), to: out)
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

  /// Prints a row an attribute pushed for, and returns the best strengths.
  private func measure(_ vectors: [[Float]], _ space: LatentSpace, _ probe: AttributeProbe) throws -> [Double]
  {
    print("| pushed | strength | has it now | " + probe.names.joined(separator: " | ") + " |")
    print("|---|---|---|" + String(repeating: "---|", count: probe.names.count))
    return try vectors.enumerated().map { attribute, vector in
      let chosen = (0..<heldOut.count).filter { !heldOut.attributes($0)![attribute] }.prefix(push)
      let latents = try space.encode(chosen.map { try heldOut.image($0) })
      let pushes = try AttributePush.measure(
        latents, along: vector, of: attribute, strengths: strengths, space: space, probe: probe)
      let best = pushes.max { value($0, attribute) < value($1, attribute) }!
      for push in sweep ? pushes : [best] { print(row(push, attribute, probe.names)) }
      return best.strength
    }
  }

  /// What makes a strength the best: most faces that have the attribute, among strengths at which no other attribute
  /// changes for more than a tenth of them; where there is no such strength, the one that exceeds that least.
  private func value(_ push: AttributePush, _ attribute: Int) -> Double {
    let sideEffect = push.largestSideEffect(of: attribute)
    return sideEffect <= 0.1 ? push.reached : -sideEffect
  }

  private func row(_ push: AttributePush, _ attribute: Int, _ names: [String]) -> String {
    let changes = push.changed.enumerated().map {
      $0.offset == attribute ? "" : String(format: "%.1f %%", 100 * $0.element)
    }
    return String(format: "| %@ | %g | %.1f %% | ", names[attribute], push.strength, 100 * push.reached)
      + changes.joined(separator: " | ") + " |"
  }

  /// The same faces in each row: as they are, and pushed along each vector.
  private func sheet(
    _ vectors: [[Float]], _ strengths: [Double], _ names: [String], _ space: LatentSpace
  ) throws -> ByteImage {
    let chosen = (0..<heldOut.count).filter { heldOut.attributes($0)! == names.map { _ in false } }.prefix(7)
    let faces = try chosen.map { try heldOut.image($0) }
    let latents = try space.encode(faces)
    var sheet = LabeledSheet(rows: [LabeledSheet.Row("test faces", faces)])
    for (name, (vector, strength)) in zip(names, zip(vectors, strengths)) {
      let pushed = try space.decode(latents.map { LatentPath.shifted($0, by: [vector], strength: strength) })
      sheet.rows.append(LabeledSheet.Row(String(format: "%@ × %g", name, strength), pushed))
    }
    return try sheet.image()
  }
}
