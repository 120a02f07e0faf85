import GlowFlow
import GlowImages

/// A run whose test images have been scored at its end: what a plan knows of settings, and of what work comes to.
package struct MeasuredRun: Sendable, Hashable {
  /// What it was trained on.
  package enum DataSet: String, Sendable, CaseIterable {
    case cifar10 = "CIFAR-10"
    case mnist = "MNIST"

    /// Of its images.
    package var shape: ImageShape {
      switch self {
      case .cifar10: ImageShape(height: 32, width: 32, channels: 3)
      case .mnist: ImageShape(height: 28, width: 28, channels: 1)
      }
    }
  }

  package let data: DataSet
  /// Images seen in training, and those there were.
  package let images, trainingImages: Int
  package private(set) var levels: Int
  package let depth, width: Int
  /// Hidden channels of the network that learned its noise; 0 if that was uniform.
  package let dequantizerWidth: Int
  /// Margin of the logit of its images; 0 if it had none.
  package let logit: Double
  package let batch: Int
  /// The learning rate after the warm-up.
  package let rate: Double
  /// Of test images, with the averaged weights.
  package let bitsPerDimension: Double

  /// What a study has measured is added here, a row a run, and all else follows: which settings a plan takes over, and
  /// the law that tells what to expect (`ScalingLaw`).
  ///
  /// All of them are trained as `TrainingConfiguration.recommended(for:optimizer:)` says, but that gradients of CIFAR-10
  /// were not clipped where it is not said, and that of 640,000 images with flips: neither makes much difference to
  /// photographs. They are scored on 5,000 test images, which leaves a standard error of 0.009 (MNIST: 0.004).
  /// `docs/recipes.md` has the commands.
  package static let all = [
    row(.cifar10, 20_000, (3, depth: 4, width: 64), 3.902),
    row(.cifar10, 40_000, (3, depth: 8, width: 64), 3.721),
    row(.cifar10, 40_000, (3, depth: 16, width: 64), 3.652),
    row(.cifar10, 80_000, (3, depth: 16, width: 64), 3.611),
    row(.cifar10, 107_696, of: 50_000, (3, depth: 16, width: 64), 3.596),
    row(.cifar10, 113_616, of: 50_000, (3, depth: 16, width: 64), 3.585),  // clipped
    row(.cifar10, 200_672, (3, depth: 16, width: 64), 3.568),
    row(.cifar10, 454_464, of: 50_000, (3, depth: 16, width: 64), 3.534),  // clipped
    row(.cifar10, 20_000, (3, depth: 4, width: 64), dequantizerWidth: 64, 3.882),
    row(.cifar10, 40_000, (3, depth: 8, width: 64), dequantizerWidth: 64, 3.696),
    row(.cifar10, 103_504, of: 50_000, (3, depth: 16, width: 64), dequantizerWidth: 64, 3.558),  // clipped
    row(.cifar10, 107_696, of: 50_000, (3, depth: 16, width: 64), dequantizerWidth: 64, 3.559),
    row(.cifar10, 414_048, of: 50_000, (3, depth: 16, width: 64), dequantizerWidth: 64, 3.493),  // clipped
    row(.cifar10, 262_816, of: 50_000, (3, depth: 16, width: 96), dequantizerWidth: 64, 3.490),
    row(.cifar10, 640_000, of: 50_000, (3, depth: 16, width: 128), dequantizerWidth: 128, 3.440),
    row(.mnist, 20_000, (2, depth: 4, width: 64), logit: 1e-5, 1.264),
    row(.mnist, 40_000, (2, depth: 8, width: 64), logit: 1e-5, 1.177),
    row(.mnist, 80_000, (2, depth: 16, width: 64), logit: 1e-5, 1.126),
    row(.mnist, 200_000, (2, depth: 16, width: 64), logit: 1e-5, 1.101),
    row(.mnist, 20_000, (2, depth: 4, width: 64), dequantizerWidth: 64, logit: 1e-5, 1.185),
    row(.mnist, 40_000, (2, depth: 8, width: 64), dequantizerWidth: 64, logit: 1e-5, 1.124),
    row(.mnist, 80_000, (2, depth: 16, width: 64), dequantizerWidth: 64, logit: 1e-5, 1.088),
    row(.mnist, 200_000, (2, depth: 16, width: 64), dequantizerWidth: 64, logit: 1e-5, 1.067),
    row(.mnist, 640_000, (2, depth: 16, width: 64), dequantizerWidth: 64, logit: 1e-5, 1.049),
  ]

  private static func row(
    _ data: DataSet, _ images: Int, of trainingImages: Int = 20_000,
    _ model: (levels: Int, depth: Int, width: Int), dequantizerWidth: Int = 0, logit: Double = 0,
    _ bitsPerDimension: Double
  ) -> MeasuredRun {
    let settings = TrainingConfiguration.recommended()
    return MeasuredRun(
      data: data, images: images, trainingImages: trainingImages, levels: model.levels, depth: model.depth,
      width: model.width,
      dequantizerWidth: dequantizerWidth, logit: logit, batch: settings.batch, rate: settings.learningRate,
      bitsPerDimension: bitsPerDimension)
  }

  /// Over the training images.
  package var passes: Double { Double(images) / Double(trainingImages) }

  /// Whether its noise is of a density that it learned (`DequantizationKind.variational`), with a bound of its own.
  package var learnsNoise: Bool { dequantizerWidth > 0 }

  /// The model that was trained.
  package var model: GlowConfiguration {
    var model = GlowConfiguration()
    let shape = data.shape
    (model.imageHeight, model.imageWidth, model.imageChannels) = (shape.height, shape.width, shape.channels)
    (model.levels, model.depth, model.width) = (levels, depth, width)
    (model.dequantizerWidth, model.logit) = (dequantizerWidth, logit)
    return model
  }

  /// The same with fewer levels, if the sides of other images cannot be halved as often.
  package func fitting(_ shape: ImageShape) -> MeasuredRun {
    var run = self
    while run.levels > 1 && (shape.height | shape.width) % (1 << run.levels) != 0 { run.levels -= 1 }
    return run
  }

  /// TFLOP that it took, as `GlowConfiguration.trainingWork` counts them.
  ///
  /// - Throws: `ConfigurationError` if no model has these sizes.
  package func work() throws -> Double { try Double(images) * model.trainingWork() }

  /// Those runs that none has beaten with as little work, the least work first.
  ///
  /// - Throws: `ConfigurationError`, as `work`.
  package static func envelope(of runs: [MeasuredRun]) throws -> [(run: MeasuredRun, work: Double)] {
    let sorted = try runs.map { (run: $0, work: try $0.work()) }.sorted {
      ($0.work, $0.run.bitsPerDimension) < ($1.work, $1.run.bitsPerDimension)
    }
    return sorted.reduce(into: []) { envelope, next in
      if next.run.bitsPerDimension < envelope.last?.run.bitsPerDimension ?? .infinity {
        envelope.append(next)
      }
    }
  }
}

extension GlowConfiguration {
  /// TFLOP of one image in a step of training: those of the products of each conditioner, once forward and twice
  /// backward, as `glow bench` counts them.
  ///
  /// - Throws: `ConfigurationError`.
  package func trainingWork() throws -> Double { try 3 * 2 * multiplyAdds() / 1e12 }
}
