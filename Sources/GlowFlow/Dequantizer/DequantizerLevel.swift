extension Level {
  /// The level before those of the flow in a model with a learned dequantization: it makes images with uniform noise
  /// into images whose noise follows q(u | c), given the levels c of the pixels (section 3.1 of Ho et al. 2019).
  ///
  /// Seen as a map of the noise its log-determinant is −ln q(u | c), so that passes treat it as a part of the flow.
  /// Channels are twice those of the squeezed image: the levels, which at the end are the dequantized image, and noise.
  static func dequantizer(_ configuration: GlowConfiguration, in blueprint: inout Blueprint) -> Level {
    let shape = configuration.dequantizerShape
    let cells = Cells(bits: configuration.bits)
    return Level(
      shape: shape, inputShape: configuration.imageShape,
      layers: [
        blueprint.place { NoiseEntry(cells, shape, in: &$0) },
        blueprint.place { NoiseCoupling(configuration, shape, in: &$0) },
        blueprint.place { NoiseExit(cells, shape, in: &$0) },
      ])
  }
}

extension GlowConfiguration {
  /// Of the activations of the dequantizer's level.
  var dequantizerShape: LevelShape {
    let squeezed = shape(ofLevel: 0)
    return LevelShape(height: squeezed.height, width: squeezed.width, channels: 2 * squeezed.channels)
  }
}
