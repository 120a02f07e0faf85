/// RealNVP (Dinh, Sohl-Dickstein & Bengio 2017): the logit of the images, then at each scale but the last three
/// checkerboard couplings, a squeeze, three channel-wise couplings, and half of the channels factored out; at the last
/// scale four checkerboard couplings. Each coupling's output may be normalized over the batch (`FlowNormalization`).
///
/// A level has activations of one shape, so a scale is two of them, before and after its squeeze; the last scale is one.
enum RealNVPLevels: Architecture {
  static let name = "realnvp"

  static let settings: Set<GlowConfiguration.Setting> = [
    .imageHeight, .imageWidth, .imageChannels, .architecture, .levels, .width, .blocks, .flowNormalization,
    .bits,
  ]

  static func setDefaults(_ configuration: inout GlowConfiguration) {
    (configuration.levels, configuration.blocks, configuration.width) = (2, 8, 64)
    (configuration.learnsTopPrior, configuration.logit) = (false, 0)
    // Comes half a bit/dim lower in the same time (docs/benchmarks.md).
    configuration.flowNormalization = .batch
  }

  static func outline(_ configuration: GlowConfiguration) -> String {
    "RealNVP, scales \(configuration.levels), blocks \(configuration.blocks), width \(configuration.width)"
      + (configuration.flowNormalization == .none
        ? "" : ", flow normalization \(configuration.flowNormalization)")
  }

  static func levels(_ configuration: GlowConfiguration, in blueprint: inout Blueprint) -> [Level] {
    var levels: [Level] = []
    for scale in 0..<configuration.levels {
      levels.append(checkerboard(scale, configuration, before: levels.last?.shape, in: &blueprint))
      if scale < configuration.levels - 1 { levels.append(channelwise(scale, configuration, in: &blueprint)) }
    }
    return levels
  }

  /// Before the squeeze of a scale.
  private static func shape(_ scale: Int, _ configuration: GlowConfiguration) -> LevelShape {
    LevelShape(
      height: configuration.imageHeight >> scale, width: configuration.imageWidth >> scale,
      channels: configuration.imageChannels << scale)
  }

  private static func network(
    _ configuration: GlowConfiguration, scale: Int
  ) -> NetworkSettings {
    NetworkSettings(
      kind: configuration.network, width: configuration.width << scale, blocks: configuration.blocks,
      kernel: 3,
      padding: configuration.padding)
  }

  /// Couplings one after the other, and after each what normalizes its output, if anything does.
  ///
  /// - Parameter scale: decides the width of their networks.
  private static func couplings(
    _ masks: [(name: String, mask: CouplingMask)], _ shape: LevelShape, _ configuration: GlowConfiguration,
    scale: Int, in blueprint: inout Blueprint
  ) -> [Placed<any Layer>] {
    let settings = network(configuration, scale: scale)
    return masks.flatMap { name, mask -> [Placed<any Layer>] in
      let coupling: Placed<any Layer> = blueprint.place {
        MaskedCoupling(mask, shape, settings, name: name, in: &$0)
      }
      return switch configuration.flowNormalization {
      case .none: [coupling]
      case .batch:
        [
          coupling,
          blueprint.place {
            InvertibleNormalization(channels: shape.channels, name: "\(name).norm", in: &$0)
          },
        ]
      }
    }
  }

  private static func checkerboard(
    _ scale: Int, _ configuration: GlowConfiguration, before: LevelShape?, in blueprint: inout Blueprint
  ) -> Level {
    let isLast = scale == configuration.levels - 1
    let (name, shape) = ("scale\(scale)", shape(scale, configuration))
    var layers: [Placed<any Layer>] = [
      scale == 0
        ? blueprint.place { _ in Logit(margin: 0.05) }
        : blueprint.place { _ in Continuation(name: "\(name).input", title: "the input of \(name)") }
    ]
    let masks = (0..<(isLast ? 4 : 3)).map {
      (name: "\(name).checkerboard\($0)", mask: CouplingMask.checkerboard(changesEven: $0 % 2 == 0))
    }
    layers += couplings(masks, shape, configuration, scale: scale, in: &blueprint)
    if isLast { layers.append(blueprint.place { NormalPrior(channels: shape.channels, in: &$0) }) }
    return Level(shape: shape, inputShape: before ?? configuration.imageShape, layers: layers)
  }

  private static func channelwise(
    _ scale: Int, _ configuration: GlowConfiguration, in blueprint: inout Blueprint
  ) -> Level {
    let before = shape(scale, configuration)
    let name = "scale\(scale)"
    let shape = LevelShape(
      height: before.height / 2, width: before.width / 2, channels: 4 * before.channels)
    var layers: [Placed<any Layer>] = [
      blueprint.place { _ in
        Squeeze(name: "\(name).squeeze", title: "the squeeze of \(name)", shape: shape)
      }
    ]
    let masks = (0..<3).map {
      (name: "\(name).channels\($0)", mask: CouplingMask.channels(changesFirst: $0 % 2 == 0))
    }
    layers += couplings(masks, shape, configuration, scale: scale + 1, in: &blueprint)
    layers.append(
      blueprint.place { FactorOut(channels: shape.channels, name: "\(name).factor_out", in: &$0) })
    return Level(shape: shape, inputShape: before, layers: layers)
  }

  static func halvings(_ configuration: GlowConfiguration) -> Int { configuration.levels - 1 }

  static func leastParameters(_ configuration: GlowConfiguration) -> Double {
    (0..<configuration.levels).reduce(0) { sum, scale in
      let width = Double(configuration.width << scale)
      return sum + 4 * 18 * Double(configuration.blocks) * width * width
    }
  }

  static func validate(_ configuration: GlowConfiguration, naming name: (String) -> String) throws {
    func require(_ holds: Bool, _ message: @autoclosure () -> String) throws {
      if !holds { throw ConfigurationError(message()) }
    }
    try require(!configuration.isConditional, "a RealNVP has no classes")
    try require(configuration.logit == 0, "a RealNVP has a logit of its own")
    try require(!configuration.hasDequantizer, "a RealNVP has uniform noise, and no dequantizer")
    let (width, widest) = (configuration.width, configuration.width << (configuration.levels - 1))
    try require(
      widest <= 16384,
      "\(name("width")) \(width) is doubled at each scale, to \(widest) at the last of "
        + "\(configuration.levels), and may be at most 16384 there: use a lower \(name("width")) or "
        + "\(name("levels"))")
  }
}

extension ArchitectureKind {
  /// Dinh, Sohl-Dickstein & Bengio 2017.
  public static let realNVP = ArchitectureKind(name: RealNVPLevels.name)
}
