/// The colors of faces, sRGB in 0...1.
enum FacePalette {
  static let black = SIMD3<Float>(repeating: 0)
  static let white = SIMD3<Float>(repeating: 1)
  static let eyeWhite = SIMD3<Float>(0.97, 0.97, 0.96)
  static let pupil = SIMD3<Float>(0.06, 0.05, 0.08)
  static let red = SIMD3<Float>(0.83, 0.22, 0.27)
  static let mouthInterior = SIMD3<Float>(0.27, 0.05, 0.08)
  static let tongue = SIMD3<Float>(0.80, 0.36, 0.38)

  /// Skin from light to dark.
  static func skin(_ tone: Float) -> SIMD3<Float> {
    mix(
      tone, [1.00, 0.87, 0.78], [0.96, 0.77, 0.62], [0.85, 0.62, 0.45], [0.68, 0.46, 0.31],
      [0.50, 0.33, 0.23])
  }

  /// Hair from black over brown and auburn (up to 0.6) to dark and light blond (from 0.8).
  static func hair(_ tone: Float) -> SIMD3<Float> {
    mix(
      tone, [0.11, 0.10, 0.12], [0.24, 0.15, 0.11], [0.38, 0.22, 0.13], [0.52, 0.22, 0.11],
      [0.86, 0.68, 0.38], [0.95, 0.85, 0.60])
  }

  /// Irises: brown, hazel, green, gray, blue.
  static func iris(_ tone: Float) -> SIMD3<Float> {
    mix(
      tone, [0.30, 0.17, 0.09], [0.48, 0.33, 0.15], [0.28, 0.48, 0.27], [0.40, 0.52, 0.58],
      [0.20, 0.45, 0.75])
  }

  /// Hue in turns, saturation and value in 0...1 (the HSV hexcone of Smith, SIGGRAPH 1978).
  static func hue(_ hue: Float, saturation: Float, value: Float) -> SIMD3<Float> {
    var color = SIMD3<Float>()
    for channel in 0..<3 {
      let turn = hue + [1, 2 / 3, 1 / 3][channel]
      let position = (turn - turn.rounded(.down)) * 6
      let strength = min(max((position - 3).magnitude - 1, 0), 1)
      color[channel] = value * (1 - saturation * (1 - strength))
    }
    return color
  }

  /// Linear interpolation between evenly spaced colors.
  private static func mix(_ position: Float, _ stops: SIMD3<Float>...) -> SIMD3<Float> {
    let scaled = min(max(position, 0), 1) * Float(stops.count - 1)
    let lower = min(Int(scaled), stops.count - 2)
    return stops[lower] + (stops[lower + 1] - stops[lower]) * (scaled - Float(lower))
  }
}
