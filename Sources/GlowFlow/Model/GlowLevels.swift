/// Kingma & Dhariwal 2018: at each level a squeeze, flow steps, and a split or, at the last, the top prior. The squeeze of
/// the images may be followed by their logit.
enum GlowLevels: Architecture {
  static let name = "glow"

  static let settings = Set(GlowConfiguration.Setting.allCases).subtracting([.flowNormalization])

  static func setDefaults(_ configuration: inout GlowConfiguration) {
    (configuration.levels, configuration.depth, configuration.width) = (3, 16, 64)
    (configuration.blocks, configuration.learnsTopPrior) = (2, true)
    (configuration.flowNormalization, configuration.logit) = (.none, 0)
  }

  static func outline(_ configuration: GlowConfiguration) -> String {
    "\(configuration.levels) levels, depth \(configuration.depth), width \(configuration.width)"
      + (configuration.logit == 0 ? "" : ", logit \(configuration.logit)")
  }

  static func levels(_ configuration: GlowConfiguration, in blueprint: inout Blueprint) -> [Level] {
    (0..<configuration.levels).map { level($0, of: configuration, in: &blueprint) }
  }

  private static func level(
    _ number: Int, of configuration: GlowConfiguration, in blueprint: inout Blueprint
  ) -> Level {
    let name = "level\(number)"
    let shape = configuration.shape(ofLevel: number)
    let title = number == 0 ? "the images" : "the input of \(name)"
    // A dequantizer has squeezed the images already.
    let isSqueezed = number == 0 && configuration.hasDequantizer
    var layers: [Placed<any Layer>] = [
      isSqueezed
        ? blueprint.place { _ in Continuation(name: "\(name).input", title: title) }
        : blueprint.place { _ in Squeeze(name: "\(name).squeeze", title: title, shape: shape) }
    ]
    if number == 0 && configuration.logit > 0 {
      layers.append(blueprint.place { _ in Logit(margin: configuration.logit) })
    }
    for step in 0..<configuration.depth {
      layers.append(
        blueprint.place {
          FlowStep(configuration, channels: shape.channels, name: "\(name).step\(step)", in: &$0)
        })
    }
    layers.append(
      number < configuration.levels - 1
        ? blueprint.place {
          Split(channels: shape.channels, padding: configuration.padding, name: "\(name).split", in: &$0)
        }
        : blueprint.place { TopPrior(configuration, channels: shape.channels, in: &$0) })
    return Level(
      shape: shape,
      inputShape: isSqueezed
        ? configuration.dequantizerShape
        : number > 0 ? configuration.shape(ofLevel: number - 1) : configuration.imageShape,
      layers: layers)
  }

  static func halvings(_ configuration: GlowConfiguration) -> Int { configuration.levels }

  static func leastParameters(_ configuration: GlowConfiguration) -> Double {
    let hidden = configuration.network.conditioner.hiddenWeights(configuration.networkSettings)
    return (0..<configuration.levels).reduce(0) { sum, level in
      let channels = configuration.shape(ofLevel: level).channels
      return sum + Double(configuration.depth)
        * (Double(hidden) + 9 * Double(configuration.width) * Double(channels))
    }
  }

  static func validate(_ configuration: GlowConfiguration, naming name: (String) -> String) throws {
    if configuration.flowNormalization != .none {
      throw ConfigurationError("a Glow has no normalization between couplings but that of its channel maps")
    }
    if configuration.logit != 0 && !(1e-5...0.25).contains(configuration.logit) {
      throw ConfigurationError(
        "\(name("logit")) must be 1e-5 to 0.25, or 0 for none, not \(configuration.logit)")
    }
  }
}

extension ArchitectureKind {
  /// Kingma & Dhariwal 2018.
  public static let glow = ArchitectureKind(name: GlowLevels.name)
}
