import GlowFlow
import GlowTraining

/// A short training run of a small model.
struct GoldenRun {
  let name: String
  var model = GlowConfiguration()
  var training = TrainingConfiguration()
  /// The step after which the run is ended, and resumed by another trainer.
  var pause: Int?
  /// Whether the guards must go back to an earlier state.
  var rollsBack = false

  /// Tiles of four pictures at both levels: a batch fills one, and a second in part.
  private init(_ name: String, change: (inout GoldenRun) -> Void = { _ in }) {
    self.name = name
    model.imageHeight = 16
    model.imageWidth = 16
    model.levels = 2
    model.depth = 2
    model.width = 16
    training.batch = 6
    training.steps = 12
    training.learningRate = 3e-3
    training.warmupEpochs = 0
    training.averageDecay = 0.9
    training.initializationImages = 10
    training.activations = .keep
    training.logEvery = 1
    training.evaluateEvery = 5
    training.checkpointEvery = 0
    change(&self)
  }

  static let all: [GoldenRun] = mixings + models + shapes + trainings

  private static let mixings = PermutationKind.allCases.flatMap { permutation in
    CouplingKind.allCases.map { coupling in
      GoldenRun("\(permutation.rawValue)-\(coupling.rawValue)") {
        $0.model.permutation = permutation
        $0.model.coupling = coupling
      }
    }
  }

  private static let models = [
    GoldenRun("conditional") { $0.model.classCount = 3 },
    GoldenRun("fixed-prior") { $0.model.learnsTopPrior = false },
    GoldenRun("conditional-fixed-prior") {
      $0.model.classCount = 3
      $0.model.learnsTopPrior = false
    },
    GoldenRun("5-bits") { $0.model.bits = 5 },
    // No multiple of a vector.
    GoldenRun("width-13") { $0.model.width = 13 },
    GoldenRun("width-13-additive") {
      $0.model.width = 13
      $0.model.coupling = .additive
    },
    GoldenRun("width-72") { $0.model.width = 72 },
    GoldenRun("one-step") { $0.model.depth = 1 },
    GoldenRun("variational") { makeVariational(&$0) },
    GoldenRun("logit") {
      makeVariational(&$0)
      $0.model.logit = 1e-5
    },
    GoldenRun("bands-logit") {
      makeBands(&$0)
      $0.model.logit = 0.05
    },
    GoldenRun("residual") { $0.model.network = .residual },
    GoldenRun("residual-kernel-3") {
      $0.model.network = .residual
      $0.model.kernel = 3
      $0.model.blocks = 1
    },
    GoldenRun("realnvp") { makeRealNVP(&$0) },
    GoldenRun("realnvp-resumed") {
      makeRealNVP(&$0)
      $0.pause = 7
    },
    GoldenRun("realnvp-normalized") {
      makeRealNVP(&$0)
      $0.model.flowNormalization = .batch
    },
    GoldenRun("bands-realnvp") {
      makeBands(&$0)
      makeRealNVP(&$0)
    },
  ]

  private static let shapes = [
    GoldenRun("gray") { $0.model.imageChannels = 1 },
    GoldenRun("oblong") {
      $0.model.imageHeight = 24
      $0.model.imageWidth = 12
    },
    GoldenRun("one-level") { $0.model.levels = 1 },
    // Tiles of one picture at the first level, of four at the others.
    GoldenRun("three-levels") {
      $0.model.imageHeight = 32
      $0.model.imageWidth = 32
      $0.model.levels = 3
      $0.model.depth = 3
    },
    // From a batch of 64 on, tiles for training are twice as large. This batch fills eight, and a ninth in part.
    GoldenRun("large-batch") {
      $0.model.imageHeight = 8
      $0.model.imageWidth = 8
      $0.training.batch = 70
    },
    GoldenRun("large-batch-recomputed") {
      $0.training.batch = 64
      $0.training.activations = .recompute
      $0.training.steps = 8
    },
    GoldenRun("bands") { makeBands(&$0) },
    GoldenRun("bands-additive") {
      makeBands(&$0)
      $0.model.coupling = .additive
    },
    GoldenRun("bands-recomputed") {
      makeBands(&$0)
      $0.training.activations = .recompute
    },
    GoldenRun("bands-variational-recomputed") {
      makeBands(&$0)
      makeVariational(&$0)
      $0.training.activations = .recompute
    },
    GoldenRun("bands-residual-recomputed") {
      makeBands(&$0)
      $0.model.network = .residual
      $0.model.kernel = 3
      $0.training.activations = .recompute
    },
  ]

  private static let trainings = [
    GoldenRun("recomputed") { $0.training.activations = .recompute },
    GoldenRun("recomputed-additive") {
      $0.training.activations = .recompute
      $0.model.coupling = .additive
    },
    GoldenRun("adam") { $0.training.optimizer = .adam },
    GoldenRun("muon") { $0.training.optimizer = .muon },
    GoldenRun("no-average") { $0.training.averageDecay = 0 },
    GoldenRun("flipped") { $0.training.flips = true },
    GoldenRun("clipped") { $0.training.clipNorm = 1 },
    GoldenRun("clipped-by-ratio") { $0.training.clipRatio = 1.05 },
    GoldenRun("without-noise") { $0.training.dequantization = .none },
    GoldenRun("unguarded") { $0.training.guards = false },
    GoldenRun("resumed") { $0.pause = 7 },
    GoldenRun("rolled-back") {
      $0.training.optimizer = .adam
      $0.training.learningRate = 0.3
      $0.training.steps = 40
      $0.rollsBack = true
    },
  ]

  private static func makeVariational(_ run: inout GoldenRun) {
    run.model.dequantizerWidth = 12
    run.training.dequantization = .variational
  }

  private static func makeRealNVP(_ run: inout GoldenRun) {
    run.model.architecture = .realNVP
    run.model.levels = 2
    run.model.blocks = 1
    run.model.width = 8
    run.model.learnsTopPrior = false
    run.training.optimizer = .adam
  }

  /// Pictures whose first level is larger than a tile.
  private static func makeBands(_ run: inout GoldenRun) {
    run.model.imageHeight = 64
    run.model.imageWidth = 64
    run.training.batch = 3
    run.training.steps = 10
  }
}
