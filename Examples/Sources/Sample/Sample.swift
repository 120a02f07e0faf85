import Foundation
import Glow

/// Draws images, one row for each of three temperatures: Sample MODEL FILE.png
@main
struct Sample {
  static func main() async throws {
    let arguments = CommandLine.arguments
    guard arguments.count == 3 else {
      print("usage: Sample MODEL FILE.png")
      exit(64)
    }
    let model = try GlowModel(contentsOf: arguments[1])
    var images: [Image] = []
    for temperature in [0.5, 0.7, 1] { images += try await model.sample(8, temperature: temperature) }
    try Image.grid(images, columns: 8).write(to: arguments[2])
  }
}
