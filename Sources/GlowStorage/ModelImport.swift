import GlowFlow
import GlowKernels

/// Reading the weights of other implementations of Glow and RealNVP.
package enum ModelImport {
  /// Reads a safetensors file of another implementation's tensors, under its own names and in its own layout.
  ///
  /// Levels, depth, width, coupling, mixing, classes and prior follow from names and shapes. Steps that mix the
  /// channels in several ways all become free matrices. If any name starts with `weight.`, only those count.
  ///
  /// - Parameters:
  ///   - imageSize: side of the square images, which the weights do not tell.
  ///   - bits: bits a channel value, which the weights do not tell.
  /// - Throws: `FileError` naming the tensor that is missing, left over, of the wrong shape, or holds what it must
  ///   not.
  package static func read<S: Scalar>(
    _ path: String, from format: ForeignFormat, imageSize: Int = 32, bits: Int = 8, as _: S.Type = S.self,
    team: ThreadTeam = ThreadTeam()
  ) throws -> Glow<S> {
    try ForeignModel(path, format: format, imageSize: imageSize, bits: bits).glow(as: S.self, team: team)
  }
}
