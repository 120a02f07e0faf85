import GlowFlow

/// The other implementations whose weights can be read and written.
package enum ForeignFormat: String, Sendable, CaseIterable {
  /// The original TensorFlow code, https://github.com/openai/glow.
  case openai
  /// https://github.com/y0ast/Glow-PyTorch
  case y0ast
  /// https://github.com/rosinality/glow-pytorch
  case rosinality
  /// RealNVP, https://github.com/chrischute/real-nvp
  case realnvp

  /// What the couplings of all formats are.
  private static let couplings: [CouplingKind] = [.affine, .additive]

  /// Of the models that it may hold; the last is its own. Whether it holds one with an edge indicator depends on the
  /// weights.
  private var paddings: [Padding] {
    switch self {
    case .openai: [.zeros, .ones, .edge]
    case .y0ast: [.edge, .zeros]
    case .rosinality: [.edge, .ones]
    // Its networks have no such setting.
    case .realnvp: [.edge]
    }
  }

  /// A tensor that every model of the format has and none of another.
  var firstName: String {
    switch self {
    case .openai: "model/0/0/actnorm_center/b"
    case .y0ast: "flow.layers.1.actnorm.bias"
    case .rosinality: "blocks.0.flows.0.actnorm.loc"
    case .realnvp: "flows.in_couplings.0.rescale.weight_g"
    }
  }

  /// The relations of all of a format's tensors with all of our parameters.
  ///
  /// - Parameter shapes: of the file to read, whose steps may each hold their mixing of the channels in another
  ///   way; nil to write, where the configuration tells how.
  /// - Throws: `ConfigurationError` if the format has no such models.
  func relations(_ configuration: GlowConfiguration, shapes: ShapeTable? = nil) throws -> [Relation] {
    if (self == .realnvp) != (configuration.architecture == .realNVP) {
      throw ConfigurationError(
        "models of \(rawValue) are of the architecture \(self == .realnvp ? "realnvp" : "glow"), and this one is a "
          + configuration.architecture.rawValue)
    }
    guard
      self == .realnvp
        || ForeignFormat.couplings.contains(configuration.coupling) && configuration.network == .plain
    else {
      throw ConfigurationError(
        "models of \(rawValue) have affine or additive couplings of plain networks, and this one has "
          + "\(configuration.coupling.rawValue) couplings of \(configuration.network.rawValue) networks")
    }
    if configuration.hasDequantizer {
      throw ConfigurationError("models of \(rawValue) have uniform noise, and this one has a dequantizer")
    }
    if configuration.logit != 0 {
      throw ConfigurationError(
        "models of \(rawValue) have no logit of the images, and this one was trained with --logit "
          + "\(configuration.logit)")
    }
    if configuration.flowNormalization != .none {
      throw ConfigurationError(
        "models of \(rawValue) have nothing between their couplings, and this one was trained with "
          + "--flow-normalization \(configuration.flowNormalization)")
    }
    guard paddings.contains(configuration.padding) else {
      throw ConfigurationError(
        "models of \(rawValue) pad with \(paddings.last!), and this one was trained with --padding "
          + "\(configuration.padding)")
    }
    return switch self {
    case .openai: OpenAILayout(configuration: configuration, shapes: shapes).relations
    case .y0ast: Y0astLayout(configuration: configuration, shapes: shapes).relations
    case .rosinality: try RosinalityLayout(configuration: configuration, shapes: shapes).relations
    case .realnvp: RealNVPLayout(configuration: configuration).relations
    }
  }

  /// The configuration that a file's names and shapes tell; images are `size`×`size`.
  func configuration(_ shapes: ShapeTable, imageSize: Int, bits: Int) throws -> GlowConfiguration {
    var configuration = GlowConfiguration()
    configuration.imageHeight = imageSize
    configuration.imageWidth = imageSize
    configuration.bits = bits
    switch self {
    case .openai: try OpenAILayout.detect(shapes, &configuration)
    case .y0ast: try Y0astLayout.detect(shapes, &configuration)
    case .rosinality: try RosinalityLayout.detect(shapes, &configuration)
    case .realnvp: try RealNVPLayout.detect(shapes, &configuration)
    }
    // The levels are the file's: only the size can be another.
    try configuration.validate { $0 == "size" ? "--image-size" : nil }
    return configuration
  }
}

/// Names and shapes of a file's tensors.
struct ShapeTable {
  let shapes: [String: [Int]]

  func has(_ name: String) -> Bool { shapes[name] != nil }

  func hasAny(_ tensors: [StoredTensor]) -> Bool { tensors.contains { has($0.name) } }

  /// One length of a tensor's shape.
  func length(_ name: String, axis: Int) throws -> Int {
    guard let shape = shapes[name] else { throw RelationError(name: name, reason: "is missing") }
    guard shape.indices.contains(axis) else {
      throw RelationError(name: name, reason: "has shape \(shape)")
    }
    return shape[axis]
  }

  func hasAny(prefix: String) -> Bool { shapes.keys.contains { $0.hasPrefix(prefix) } }

  /// The numbers that stand between `prefix` and `next` at the start of names.
  func numbers(_ prefix: String, _ next: String) -> Set<Int> {
    Set(
      shapes.keys.compactMap { name in
        guard name.hasPrefix(prefix) else { return nil }
        let rest = name.dropFirst(prefix.count)
        let digits = rest.prefix { $0.isASCII && $0.isNumber }
        return rest.dropFirst(digits.count).hasPrefix(next) ? Int(digits) : nil
      })
  }

  /// How many there are of the numbers 0, 1, 2, … until one is not among `numbers`.
  func count(_ prefix: String, _ next: String) -> Int {
    let numbers = numbers(prefix, next)
    return (0...numbers.count).first { !numbers.contains($0) }!
  }

  /// Sets what the first step's shapes tell.
  ///
  /// - Parameters:
  ///   - channels: of the first level.
  ///   - outputs: of its coupling network, on which `last` is the name of the last filter.
  func setFirstStep(
    _ configuration: inout GlowConfiguration, channels: Int, width: Int, outputs: Int, last: String
  ) throws {
    configuration.imageChannels = channels / 4
    configuration.width = width
    switch outputs {
    case channels: configuration.coupling = .affine
    case channels / 2: configuration.coupling = .additive
    default:
      throw RelationError(
        name: last,
        reason: "has \(outputs) output channels, expected \(channels) (affine) or \(channels / 2) (additive)")
    }
  }
}

extension GlowConfiguration {
  /// Of an affine coupling's or a split's network, which output of an implementation that uses halves is each of
  /// ours: we interleave.
  ///
  /// - Parameter isSwapped: whether the half that comes first is our second.
  static func halves(_ count: Int, isSwapped: Bool) -> [Int] {
    (0..<count).map { channel in
      let isFirst = (channel % 2 == 0) != isSwapped
      return channel / 2 + (isFirst ? 0 : count / 2)
    }
  }

  /// Channels of a level after its squeeze.
  func channels(_ level: Int) -> Int { shape(ofLevel: level).channels }

  /// Outputs of a level's conditioners.
  func networkOutputs(_ level: Int) -> Int { channels(level) / 2 * outputsPerValue }
}
