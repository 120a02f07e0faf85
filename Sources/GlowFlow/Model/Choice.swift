/// A setting that names one of the implementations that are registered with it, as options and files spell it.
public protocol Choice: RawRepresentable, CaseIterable, CustomStringConvertible, Hashable, Codable, Sendable
where RawValue == String {
  /// Of all that are registered.
  static var names: [String] { get }
  /// - Parameter name: one of `names`.
  init(name: String)
}

extension Choice {
  /// The choice of this name, if there is one.
  public init?(rawValue: String) {
    guard Self.names.contains(rawValue) else { return nil }
    self.init(name: rawValue)
  }

  public var description: String { rawValue }

  /// All that are registered.
  public static var allCases: [Self] { names.map(Self.init(name:)) }
}
