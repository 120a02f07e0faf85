/// What layers a model consists of.
///
/// Passes, files, training and commands know models by their list of levels alone, whatever makes it.
protocol Architecture: Sendable {
  /// What `--architecture` calls it.
  static var name: String { get }

  /// What a new model has where nothing else is asked for, besides its images.
  static func setDefaults(_ configuration: inout GlowConfiguration)

  /// Settings that its models have. Others are kept as they stand and mean nothing.
  static var settings: Set<GlowConfiguration.Setting> { get }

  /// What a person knows a model by.
  static func outline(_ configuration: GlowConfiguration) -> String

  /// The levels, in the order of the flow.
  ///
  /// - Parameter configuration: a valid one.
  static func levels(_ configuration: GlowConfiguration, in blueprint: inout Blueprint) -> [Level]

  /// How often the sides of an image are halved.
  static func halvings(_ configuration: GlowConfiguration) -> Int

  /// Parameters that a model has at least, counted without making it.
  static func leastParameters(_ configuration: GlowConfiguration) -> Double

  /// - Parameter name: what a setting is called where it was given.
  /// - Throws: `ConfigurationError` for settings that every other architecture may have, but not this one.
  static func validate(_ configuration: GlowConfiguration, naming name: (String) -> String) throws
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
