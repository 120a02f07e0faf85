/// What the 3×3 convolutions of a model read outside of the picture.
public enum Padding: String, Codable, Sendable, CaseIterable, CustomStringConvertible {
  /// Zeros, and 1 in a further input channel that is 0 inside, the edge indicator: as the original does.
  case edge
  /// Zeros.
  case zeros
  /// The zero convolutions read ones in all of their input channels, the others zeros.
  case ones

  public var description: String { rawValue }

  /// Of the zero convolutions, the last ones of a network or a split.
  var ofZeroConvolutions: Convolution.Border {
    switch self {
    case .edge: .indicator
    case .zeros: .zeros
    case .ones: .ones
    }
  }

  /// Of the other ones.
  var ofHiddenConvolutions: Convolution.Border { self == .edge ? .indicator : .zeros }

  /// Of the top prior's, which convolves nothing but zeros.
  var ofTopPrior: Convolution.Border { self == .zeros ? .zeros : .indicator }
}
