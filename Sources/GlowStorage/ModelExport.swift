import GlowFiles
import GlowFlow
import GlowKernels

/// Writing models for other implementations of Glow.
package enum ModelExport {
  /// Writes a model as another implementation's tensors, in the model's precision.
  ///
  /// The original holds every model of its couplings. The others lack the edge channel, which models trained with their
  /// padding do not have: what they cannot hold is refused, never rounded away. Their 1×1 convolution holds any mixing of
  /// the channels.
  /// They get the factors of a factored one, the original its matrix.
  ///
  /// - Throws: `FileError` naming the parameter that the format cannot hold, or if the file cannot be written.
  package static func write<S: Scalar>(_ glow: Glow<S>, as format: ForeignFormat, to path: String) throws {
    let configuration = exported(glow.configuration, as: format)
    let relations: [Relation]
    do { relations = try format.relations(configuration) } catch let error as ConfigurationError {
      throw FileError(path, "\(error)")
    }
    var writer = SafetensorsWriter()
    for relation in relations {
      let ours = try zip(relation.ours, relation.counts).map { name, count in
        try values(name, count: count, of: glow)
      }
      let stored: [[Double]]
      // Only a channel mixing can be singular; in a relation with other parameters it is the last.
      do { stored = try relation.write(ours) } catch let error as LinearAlgebraError {
        throw FileError(path, "cannot write \(relation.ours.last!): \(error)")
      }
      try check(relation, ours, stored, format: format, path: path)
      for (tensor, values) in zip(relation.stored, stored) {
        switch tensor.type {
        case .uint8: writer.add(tensor.name, shape: tensor.shape, values: values.map { UInt8($0) })
        case .int32: writer.add(tensor.name, shape: tensor.shape, values: values.map { Int32($0) })
        case .int64: writer.add(tensor.name, shape: tensor.shape, values: values.map { Int64($0) })
        case .float32, .float64: writer.add(tensor.name, shape: tensor.shape, values: values.map { S($0) })
        case .bool, .int8, .float8E4M3, .float8E5M2, .uint16, .int16, .float16, .bfloat16, .uint32, .uint64:
          preconditionFailure("no format has tensors of \(tensor.type)")
        }
      }
    }
    try writer.write(to: path)
  }

  /// The configuration under which a model stands in a format.
  private static func exported(
    _ configuration: GlowConfiguration, as format: ForeignFormat
  ) -> GlowConfiguration {
    var configuration = configuration
    if configuration.architecture != .glow { return configuration }
    // The original reads factors only after a change of its code, the others keep no shuffle.
    let isFactored = configuration.permutation == .factoredConvolution
    if isFactored == (format == .openai) { configuration.permutation = .convolution }
    if format == .rosinality { configuration.learnsTopPrior = true }
    return configuration
  }

  /// A parameter under the name that the format's relations have for it.
  private static func values<S: Scalar>(_ name: String, count: Int, of glow: Glow<S>) throws -> [Double] {
    if let entry = glow.parameters[name] { return entry.range.map { Double(glow.values.base[$0]) } }
    let suffix = ".invconv.weight"
    if name.hasSuffix(suffix) { return matrix(ofStep: String(name.dropLast(suffix.count)), count, glow) }
    // A prior that is not learned is one of zeros.
    return [Double](repeating: 0, count: count)
  }

  /// The mixing of a step that has no free matrix, as a matrix.
  private static func matrix<S: Scalar>(ofStep step: String, _ count: Int, _ glow: Glow<S>) -> [Double] {
    func stored(_ name: String) -> [Double]? {
      glow.parameters["\(step).\(name)"]?.range.map { Double(glow.values.base[$0]) }
    }
    let n = Int(Double(count).squareRoot())
    guard let permutation = stored("invconv.permutation") else {
      let indices = stored("shuffle.indices") ?? (0..<n).reversed().map { Double($0) }
      return permutationMatrix(indices)
    }
    return StoredFactors(
      size: n, permutation: squareMatrix(n) { row, column in Int(permutation[row]) == column ? 1 : 0 },
      lower: stored("invconv.lower")!, upper: stored("invconv.upper")!,
      logScale: stored("invconv.log_scale")!, sign: stored("invconv.sign")!
    ).matrix
  }

  /// What has been written must read back as the model, up to rounding where a relation computes.
  private static func check(
    _ relation: Relation, _ ours: [[Double]], _ stored: [[Double]], format: ForeignFormat, path: String
  ) throws {
    for (name, (expected, found)) in zip(
      relation.ours, zip(relation.reduced(ours), try relation.read(stored)))
    {
      let largest = expected.reduce(0) { max($0, abs($1)) }
      if zip(expected, found).contains(where: { abs($0 - $1) > relation.tolerance * largest }) {
        throw FileError(
          path, "cannot write \(name) as \(format.rawValue)'s: \(relation.limit)")
      }
    }
  }
}
