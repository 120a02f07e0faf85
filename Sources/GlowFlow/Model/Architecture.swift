/// What layers a model consists of.
///
/// Passes, files, training and commands know models by their list of levels alone, whatever makes it.
protocol Architecture: Sendable {
  /// What `--architecture` calls it.
  static var name: String { get }

  /// The levels, in the order of the flow.
  ///
  /// - Parameter configuration: a valid one.
  static func levels(_ configuration: GlowConfiguration, in blueprint: inout Blueprint) -> [Level]

  /// How often the sides of an image are halved.
  static func halvings(_ configuration: GlowConfiguration) -> Int

  /// Parameters that a model has at least, counted without making it.
  static func leastParameters(_ configuration: GlowConfiguration) -> Double

  /// - Throws: `ConfigurationError` for settings that every other architecture may have, but not this one.
  static func validate(_ configuration: GlowConfiguration) throws
}

/// The architecture of a model.
public struct ArchitectureKind: Choice {
  /// All architectures that there are.
  static let registered: [any Architecture.Type] = [GlowLevels.self, RealNVPLevels.self]

  public static var names: [String] { registered.map { $0.name } }
  public let rawValue: String
  public init(name: String) { rawValue = name }

  var design: any Architecture.Type { ArchitectureKind.registered.first { $0.name == rawValue }! }
}
