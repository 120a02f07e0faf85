import Foundation
import Glow

/// Scores a folder of images, the least likely first: Score MODEL FOLDER
@main
struct Score {
  static func main() async throws {
    let arguments = CommandLine.arguments
    guard arguments.count == 3 else {
      print("usage: Score MODEL FOLDER")
      exit(64)
    }
    let model = try GlowModel(contentsOf: arguments[1])
    let images = try ImageSet(contentsOf: arguments[2], size: model.imageShape.height)
    var scores: [(name: String, bits: Double)] = []
    for try await scored in model.scores(of: images) {
      switch scored.result {
      case .success(let score): scores.append((scored.name, score.bitsPerDimension))
      case .failure(let error): print("\(scored.name): \(error)")
      }
    }
    for (name, bits) in scores.sorted(by: { $0.bits > $1.bits }) { print("\(bits) bits/dim  \(name)") }
  }
}
