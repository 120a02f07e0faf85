/// What stands between the couplings of a RealNVP.
public enum FlowNormalization: String, Codable, Sendable, CaseIterable, CustomStringConvertible {
  /// Nothing.
  case none
  /// Batch normalization of each coupling's output (section 3.7 of Dinh et al. 2017).
  case batch

  public var description: String { rawValue }
}
