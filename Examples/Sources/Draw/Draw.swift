import Foundation
import Glow
import GlowPlots

/// Draws how the scores of a folder of images are spread: Draw MODEL FOLDER FILE.png
@main
struct Draw {
  static func main() async throws {
    let arguments = CommandLine.arguments
    guard arguments.count == 4 else {
      print("usage: Draw MODEL FOLDER FILE.png")
      exit(64)
    }
    let model = try GlowModel(contentsOf: arguments[1])
    let images = try ImageSet(contentsOf: arguments[2], size: model.imageShape.height)
    var scores: [Double] = []
    for try await scored in model.scores(of: images) {
      scores.append(try scored.result.get().bitsPerDimension)
    }
    let chart = Histogram(
      horizontalTitle: "bits/dim", samples: [Histogram.Sample(arguments[2], scores)])
    try chart.image().write(to: arguments[3])
  }
}
