import GlowKernels

/// The classifier of a conditional model (the original implementation's auxiliary loss): softmax of a linear
/// layer on the mean of the top latent over its positions.
struct Classifier: Foldable {
  let name = "top.classifier"
  let shape: LevelShape
  let layer: LinearLayer

  /// - Parameter shape: of the top latent.
  init(_ shape: LevelShape, classCount: Int, in blueprint: inout Blueprint) {
    self.shape = shape
    layer = LinearLayer(inCount: shape.channels, outCount: classCount, name: name, in: &blueprint)
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func fold<S: Scalar>(
    _ values: ParameterValues<S>, into weights: Weights<S>, map: inout Factorization?
  ) throws {
    layer.fold(values, into: weights)
  }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func foldBackward<S: Scalar>(
    _ folded: Folded<S>, gradient: Weights<S>, logDeterminantGradient: Double,
    into gradients: ParameterValues<S>
  ) throws {
    layer.foldBackward(folded, gradient: gradient, into: gradients)
  }

  /// −log2 of the probability of each picture's label, and that probability's gradient in the logits.
  ///
  /// - Parameter top: the top latents, [count, positions, channels].
  func forward<S: Scalar>(
    _ top: UnsafePointer<S>, labels: [Int], _ weights: Weights<S>
  ) -> ClassifierResult<S> {
    let count = labels.count
    let classes = layer.outCount
    var means = [S](repeating: 0, count: count * shape.channels)
    for image in 0..<count {
      for position in 0..<shape.positions {
        for channel in 0..<shape.channels {
          means[image * shape.channels + channel] +=
            top[(image * shape.positions + position) * shape.channels + channel] / S(shape.positions)
        }
      }
    }
    var logits = [S](repeating: 0, count: count * classes)
    means.withUnsafeMutableBufferPointer { means in
      logits.withUnsafeMutableBufferPointer { logits in
        // [count × channels]·[channels × classes] → [count × classes]
        addProduct(
          Matrix(means.baseAddress!, rows: count, columns: shape.channels), layer.weight(weights),
          to: Matrix(logits.baseAddress!, rows: count, columns: classes))
        addBias(
          logits.baseAddress!, rows: count, width: classes, bias: layer.bias(weights))
      }
    }
    var bits = [Double](repeating: 0, count: count)
    for image in 0..<count {
      let row = image * classes..<(image + 1) * classes
      let largest = Double(logits[row].max()!)
      let sum = row.reduce(0) { $0 + Elementary.exp(Double(logits[$1]) - largest) }
      let label = row.lowerBound + labels[image]
      bits[image] = (Elementary.log(sum) + largest - Double(logits[label])) / Elementary.ln2
      for index in row {
        let probability = Elementary.exp(Double(logits[index]) - largest) / sum
        logits[index] = S((probability - (index == label ? 1 : 0)) / Elementary.ln2)
      }
    }
    return ClassifierResult(bits: bits, means: means, logitGradients: logits)
  }

  /// Adds `weight`·d bits/d top to `topGradient` and writes the folded weights' gradient.
  func backward<S: Scalar>(
    _ result: ClassifierResult<S>, weight: Double, _ weights: Weights<S>, into gradient: Weights<S>,
    topGradient: UnsafeMutablePointer<S>
  ) {
    let count = result.bits.count
    let classes = layer.outCount
    var means = result.means
    var dLogits = result.logitGradients.map { $0 * S(weight) }
    var dMeans = [S](repeating: 0, count: means.count)
    gradient.clear([layer.folded])
    means.withUnsafeMutableBufferPointer { means in
      dLogits.withUnsafeMutableBufferPointer { dLogits in
        dMeans.withUnsafeMutableBufferPointer { dMeans in
          let d = Matrix(dLogits.baseAddress!, rows: count, columns: classes)
          // dW = [channels × count]·[count × classes];  dmeans = [count × classes]·[classes × channels]
          addProduct(
            Matrix(means.baseAddress!, rows: count, columns: shape.channels).transposed, d,
            to: layer.weight(gradient))
          addProduct(
            d, layer.weight(weights).transposed,
            to: Matrix(dMeans.baseAddress!, rows: count, columns: shape.channels))
          addRows(d.base, rows: count, width: classes, to: layer.bias(gradient))
        }
      }
    }
    for image in 0..<count {
      for position in 0..<shape.positions {
        for channel in 0..<shape.channels {
          topGradient[(image * shape.positions + position) * shape.channels + channel] +=
            dMeans[image * shape.channels + channel] / S(shape.positions)
        }
      }
    }
  }
}

/// What the classifier's backward needs of its forward.
struct ClassifierResult<S: Scalar> {
  let bits: [Double]
  let means: [S]
  let logitGradients: [S]
}
