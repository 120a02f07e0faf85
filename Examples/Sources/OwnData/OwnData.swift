import Foundation
import Glow

/// A data set of one's own: the crosses and rings that a program draws.
struct Shapes: ImageSource {
  let shape = ImageShape(height: 16, width: 16, channels: 1)
  let count = 2000
  let classNames = ["cross", "ring"]

  func label(_ index: Int) -> Int? { index % 2 }

  func image(_ index: Int) -> Image {
    // Any that follow from the index alone.
    let (x, y, size) = (5 + index * 7 % 6, 5 + index * 5 % 7, 3 + index / 2 % 3)
    let pixels = (0..<shape.count).map { place -> UInt8 in
      let (across, down) = (abs(place % shape.width - x), abs(place / shape.width - y))
      let isDrawn =
        index % 2 == 0
        ? min(across, down) == 0 && max(across, down) <= size
        : abs(across * across + down * down - size * size) <= size
      return isDrawn ? 220 : 30
    }
    return Image(shape: shape, pixels: pixels)
  }
}

/// Trains on them, and says which of two odd images the model finds less likely: OwnData RUN
@main
struct OwnData {
  static func main() async throws {
    let arguments = CommandLine.arguments
    guard arguments.count == 2 else {
      print("usage: OwnData RUN")
      exit(64)
    }
    var plan = TrainingPlan()
    plan.model.levels = 2
    plan.model.depth = 2
    plan.model.width = 16
    plan.settings.batch = 32
    plan.settings.steps = 100
    // No slow start: a small model bears the whole rate at once.
    plan.settings.warmupSteps = 0
    let shapes = Shapes()
    let model = try await GlowModel.train(plan, on: ImageSet(shapes), folder: arguments[1])
    let blank = Image(shape: shapes.shape, pixels: .init(repeating: 30, count: shapes.shape.count))
    let inverted = Image(shape: shapes.shape, pixels: shapes.image(0).pixels.map { 250 - $0 })
    for (name, image) in [("a cross", shapes.image(0)), ("blank", blank), ("a dark cross", inverted)] {
      print("\(name): \(try await model.score(image).bitsPerDimension) bits/dim")
    }
  }
}
