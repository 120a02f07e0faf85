import Foundation
import Glow

/// Trains on a folder of images, or on the built-in faces, and tells how it goes: Train DATA RUN STEPS
@main
struct Train {
  static func main() async throws {
    let arguments = CommandLine.arguments
    guard arguments.count == 4, let steps = Int(arguments[3]) else {
      print("usage: Train DATA RUN STEPS")
      exit(64)
    }
    var plan = TrainingPlan()
    plan.model.levels = 2
    plan.model.depth = 4
    plan.model.width = 32
    plan.settings.batch = 16
    plan.settings.steps = steps
    let images = try ImageSet(contentsOf: arguments[1], part: .train, size: 32)
    let model = try await GlowModel.train(plan, on: images, folder: arguments[2]) { progress in
      if progress.step % 10 == 0 || progress.step == progress.steps {
        print("step \(progress.step) of \(progress.steps): loss \(progress.loss)")
      }
    }
    print("trained on \(images.count) images of \(model.imageShape); the model is in \(arguments[2])")
  }
}
