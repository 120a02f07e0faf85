import GlowFiles
import GlowFlow
import GlowKernels

/// A file of another implementation, opened and understood: its configuration, and how its tensors relate to ours.
package struct ForeignModel {
  package let configuration: GlowConfiguration
  let file: SafetensorsFile
  let relations: [Relation]
  /// What stands before the names of the weights in the file.
  let prefix: String

  /// - Throws: `FileError` naming the tensor that is missing, left over, of the wrong shape or damaged.
  package init(_ path: String, format: ForeignFormat, imageSize: Int, bits: Int) throws {
    file = try SafetensorsFile(path)
    let weights = "weight."
    prefix = file.entries.contains { $0.name.hasPrefix(weights) } ? weights : ""
    var shapes: [String: [Int]] = [:]
    for entry in file.entries where entry.name.hasPrefix(prefix) {
      shapes[String(entry.name.dropFirst(prefix.count))] = entry.shape
    }
    let table = ShapeTable(shapes: shapes)
    configuration = try file.explaining {
      if !table.has(format.firstName),
        let other = ForeignFormat.allCases.first(where: { table.has($0.firstName) })
      {
        throw RelationError(
          name: format.firstName,
          reason: "is missing, and \(other.firstName) is there: this is a model of \(other.rawValue)")
      }
      return try format.configuration(table, imageSize: imageSize, bits: bits)
    }
    try ModelFile.checkSize(configuration, file)
    relations = try file.explaining { [configuration] in
      try format.relations(configuration, shapes: table)
    }
    try file.explaining { try ForeignModel.check(shapes, relations) }
    try file.checkSums()
  }

  private static func check(_ shapes: [String: [Int]], _ relations: [Relation]) throws {
    var rest = shapes
    for tensor in relations.flatMap(\.stored) {
      guard let shape = rest.removeValue(forKey: tensor.name) else {
        throw RelationError(name: tensor.name, reason: "is missing")
      }
      // A single value may come with or without an axis.
      let isSingle = tensor.shape == [1] && shape.isEmpty
      if shape != tensor.shape && !isSingle {
        throw RelationError(name: tensor.name, reason: "has shape \(shape), expected \(tensor.shape)")
      }
    }
    if let name = rest.keys.min() {
      throw RelationError(name: name, reason: "is no tensor of the model that the other names tell of")
    }
  }

  /// Builds the model.
  ///
  /// - Throws: `FileError` naming the tensor whose values no model can have.
  package func glow<S: Scalar>(as _: S.Type, team: ThreadTeam) throws -> Glow<S> {
    let glow = try ModelFile.build(configuration, team: team, as: S.self, path: file.path)
    var rest = Set(glow.parameters.entries.map(\.name)).subtracting(["initialised"])
    for relation in relations {
      let values = try file.explaining { try relation.read(try stored(relation)) }
      for (name, values) in zip(relation.ours, values) {
        guard let parameter = glow.parameters[name], parameter.count == values.count else {
          preconditionFailure("the layout of the format does not match the model at \(name)")
        }
        rest.remove(name)
        try glow.set(parameter, to: values.map { S($0) }, path: file.path)
      }
    }
    precondition(rest.isEmpty, "the layout of the format leaves out \(rest)")
    glow.isInitialized = true
    try glow.accept(path: file.path)
    return glow
  }

  /// Turns gradients of our parameters into those of the file's tensors, by name, with the chain rule.
  package func pullBack<S: Scalar>(
    _ gradients: UnsafePointer<S>, of parameters: ParameterList
  ) throws -> [String: [Double]] {
    var result: [String: [Double]] = [:]
    for relation in relations {
      let ours = relation.ours.map { parameters[$0]!.range.map { Double(gradients[$0]) } }
      for (tensor, values) in zip(relation.stored, relation.pullBack(try stored(relation), ours)) {
        result[tensor.name] = values
      }
    }
    return result
  }

  /// The values of a relation's tensors; all of them finite.
  private func stored(_ relation: Relation) throws -> [[Double]] {
    try relation.stored.map { tensor in
      let values = try file.values(prefix + tensor.name, as: Double.self)
      if let index = values.firstIndex(where: { !$0.isFinite }) {
        throw FileError(file.path, "\(tensor.name): value \(index) is \(values[index])")
      }
      return values
    }
  }
}

extension SafetensorsFile {
  /// Names this file in the errors of `body`.
  func explaining<Result>(_ body: () throws -> Result) throws -> Result {
    do { return try body() } catch let error as RelationError {
      throw FileError(path, "\(error.name): \(error.reason)")
    } catch let error as ConfigurationError {
      throw FileError(path, "\(error)")
    }
  }
}
