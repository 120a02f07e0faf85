import Foundation
import GlowKernels

/// A 3×3 convolution that sees the image's edge, then a bias and a scale for each channel:
/// y = (conv(x) + b)·exp(3·logs).
///
/// With b = logs = 0 and zero weights at the start this is the original's zero convolution (section 3.3 of
/// Kingma & Dhariwal 2018); with b and logs those of an actnorm it is the first layer of a coupling network.
///
/// The edge indicator, a further input channel that is 0 inside the picture and 1 in the padding, adds a
/// constant to each position that depends only on which of its neighbors exist. So it is folded, with b, into
/// one bias for each of the 16 border classes, and the matrix products never see it.
///
/// The scale is folded into the weights. `order` says which side of the product the neighborhoods are on.
struct Convolution: Sendable {
  enum Order {
    /// im2col, then [positions × 9·in]·[9·in × out]: for few channels in.
    case patchesThenProduct
    /// [positions × in]·[in × 9·out], then col2im: for few channels out.
    case productThenPatches
  }

  let inChannels: Int
  let outChannels: Int
  let order: Order
  /// True if stored output channels 2j and 2j + 1 are to come out as j and out/2 + j: the original
  /// interleaves what is used as two halves (shift and scale, mean and logs).
  let isInterleaved: Bool

  /// [3, 3, in + 1, out]; the last input channel is the edge indicator.
  let weight: Int
  /// [out]
  let bias: Int
  /// [out]
  let logs: Int
  /// Folded weight: [9·in, out] or [in, 9·out], by `order`.
  let foldedWeight: Int
  /// Folded bias: [borderClassCount, out].
  let foldedBias: Int

  init(
    inChannels: Int, outChannels: Int, order: Order, isInterleaved: Bool = false, weight: String,
    biasAndLogs: String, in list: inout ParameterList, folded: inout Reservation
  ) {
    self.inChannels = inChannels
    self.outChannels = outChannels
    self.order = order
    self.isInterleaved = isInterleaved
    self.weight = list.add("\(weight).weight", [3, 3, inChannels + 1, outChannels])
    bias = list.add("\(biasAndLogs).bias", [outChannels])
    logs = list.add("\(biasAndLogs).logs", [outChannels])
    foldedWeight = folded.reserve(9 * inChannels * outChannels)
    foldedBias = folded.reserve(borderClassCount * outChannels)
  }

  /// The folded weight as a view.
  func weightView<S: Scalar>(_ folded: UnsafeMutablePointer<S>) -> Matrix<S> {
    switch order {
    case .patchesThenProduct:
      Matrix(folded + foldedWeight, rows: 9 * inChannels, columns: outChannels)
    case .productThenPatches:
      Matrix(folded + foldedWeight, rows: inChannels, columns: 9 * outChannels)
    }
  }

  /// Where the folded weight has the `outChannels` values of one tap and input channel.
  ///
  /// A patch row that is added to neighbor δ carries what that neighbor would have read at −δ, so the taps
  /// of `productThenPatches` stand in reverse.
  private func foldedOffset(dy: Int, dx: Int, input: Int) -> Int {
    switch order {
    case .patchesThenProduct: foldedWeight + ((dy * 3 + dx) * inChannels + input) * outChannels
    case .productThenPatches: foldedWeight + (input * 9 + (2 - dy) * 3 + (2 - dx)) * outChannels
    }
  }

  private func storedOffset(dy: Int, dx: Int, input: Int) -> Int {
    weight + ((dy * 3 + dx) * (inChannels + 1) + input) * outChannels
  }

  /// The stored channel that comes out as channel `output`.
  private func storedChannel(_ output: Int) -> Int {
    let half = outChannels / 2
    if !isInterleaved { return output }
    return output < half ? 2 * output : 2 * (output - half) + 1
  }

  /// Writes the folded weight w·exp(3·logs) and bias (b + Σ edge weights outside)·exp(3·logs).
  func fold<S: Scalar>(_ values: UnsafePointer<S>, into folded: UnsafeMutablePointer<S>) {
    let stored = (0..<outChannels).map(storedChannel)
    let scale = stored.map { S(exp(ActNorm.logsFactor * Double(values[logs + $0]))) }
    scale.withUnsafeBufferPointer { scale in
      stored.withUnsafeBufferPointer { stored in
        for dy in 0..<3 {
          for dx in 0..<3 {
            for input in 0..<inChannels {
              let from = values + storedOffset(dy: dy, dx: dx, input: input)
              let to = folded + foldedOffset(dy: dy, dx: dx, input: input)
              if isInterleaved {
                for output in 0..<outChannels { to[output] = from[stored[output]] * scale[output] }
              } else {
                for output in 0..<outChannels { to[output] = from[output] * scale[output] }
              }
            }
          }
        }
        for borderClass in 0..<borderClassCount {
          let to = folded + foldedBias + borderClass * outChannels
          for output in 0..<outChannels { to[output] = values[bias + stored[output]] }
          forEachTapOutside(borderClass) { dy, dx in
            let edge = values + storedOffset(dy: dy, dx: dx, input: inChannels)
            for output in 0..<outChannels { to[output] += edge[stored[output]] }
          }
          for output in 0..<outChannels { to[output] *= scale[output] }
        }
      }
    }
  }

  /// Adds the gradients of weight, b and logs, given that of the folded weight and bias.
  ///
  /// With s = exp(3·logs): dw = s·dw', db = s·Σ dB over classes, and since folded = stored·s,
  /// d logs = 3·(Σ dw'·w' + Σ dB·B).
  func foldBackward<S: Scalar>(
    folded: UnsafePointer<S>, foldedGradient: UnsafePointer<S>, values: UnsafePointer<S>,
    into gradients: UnsafeMutablePointer<S>
  ) {
    let stored = (0..<outChannels).map(storedChannel)
    let scale = stored.map { S(exp(ActNorm.logsFactor * Double(values[logs + $0]))) }
    var logsGradient = [S](repeating: 0, count: outChannels)
    logsGradient.withUnsafeMutableBufferPointer { logsGradient in
      scale.withUnsafeBufferPointer { scale in
        stored.withUnsafeBufferPointer { stored in
          for dy in 0..<3 {
            for dx in 0..<3 {
              for input in 0..<inChannels {
                let offset = foldedOffset(dy: dy, dx: dx, input: input)
                let from = foldedGradient + offset
                let weights = folded + offset
                let to = gradients + storedOffset(dy: dy, dx: dx, input: input)
                if isInterleaved {
                  for output in 0..<outChannels {
                    to[stored[output]] += from[output] * scale[output]
                    logsGradient[output] += from[output] * weights[output]
                  }
                } else {
                  for output in 0..<outChannels {
                    to[output] += from[output] * scale[output]
                    logsGradient[output] += from[output] * weights[output]
                  }
                }
              }
            }
          }
          for borderClass in 0..<borderClassCount {
            let offset = foldedBias + borderClass * outChannels
            for output in 0..<outChannels {
              let gradient = foldedGradient[offset + output]
              gradients[bias + stored[output]] += gradient * scale[output]
              logsGradient[output] += gradient * folded[offset + output]
            }
            forEachTapOutside(borderClass) { dy, dx in
              let edge = gradients + storedOffset(dy: dy, dx: dx, input: inChannels)
              for output in 0..<outChannels {
                edge[stored[output]] += foldedGradient[offset + output] * scale[output]
              }
            }
          }
          for output in 0..<outChannels {
            gradients[logs + stored[output]] += S(ActNorm.logsFactor) * logsGradient[output]
          }
        }
      }
    }
  }

  func clearBias<S: Scalar>(of foldedGradient: UnsafeMutablePointer<S>) {
    (foldedGradient + foldedBias).update(repeating: 0, count: borderClassCount * outChannels)
  }

  private func forEachTapOutside(_ borderClass: Int, _ body: (Int, Int) -> Void) {
    for dy in 0..<3 {
      for dx in 0..<3 where isOutside(borderClass: borderClass, dy: dy, dx: dx) { body(dy, dx) }
    }
  }

  // The second half of `productThenPatches`: products in, outputs out, and the adjoint.

  /// Adds up the patches around each position of a band, and its bias, into two planes: `first` has the
  /// first half of the channels, `second` the rest, each [band positions, out/2] (all of them in `first`,
  /// [band positions, out], if `second` is nil). `rowStep` is as in `scatterPatches`.
  func collect<S: Scalar>(
    _ picturePatches: UnsafePointer<S>, rowStep: Int, band: Band, folded: UnsafePointer<S>,
    bordered: UnsafeMutablePointer<S>, first: UnsafeMutablePointer<S>, second: UnsafeMutablePointer<S>?
  ) {
    scatterPatches(picturePatches, rowStep: rowStep, channels: outChannels, band: band, bordered: bordered)
    let split = second == nil ? outChannels : outChannels / 2
    for row in 0..<band.rows {
      for column in 0..<band.width {
        let borderClass = band.borderClass(row: band.firstRow + row, column: column)
        let biasRow = folded + foldedBias + borderClass * outChannels
        let from = bordered + ((row + 1) * (band.width + 2) + column + 1) * outChannels
        let position = row * band.width + column
        let to = first + position * split
        for channel in 0..<split { to[channel] = from[channel] + biasRow[channel] }
        if let second {
          let to = second + position * split
          for channel in 0..<split { to[channel] = from[split + channel] + biasRow[split + channel] }
        }
      }
    }
  }

  /// Adjoint of `collect`: the gradient of the patches, every `rowStep`-th row of [band positions · rowStep, 9·out],
  /// from that of the outputs of the whole picture, [positions, out]; adds the band's part to the folded bias's
  /// gradient.
  func collectBackward<S: Scalar>(
    pictureOutputGradient: UnsafePointer<S>, band: Band, bordered: UnsafeMutablePointer<S>,
    patchesGradient: UnsafeMutablePointer<S>, rowStep: Int, foldedGradient: UnsafeMutablePointer<S>
  ) {
    gatherPatches(
      from: pictureOutputGradient, stride: outChannels, channels: outChannels, band: band,
      bordered: bordered, into: patchesGradient, rowStep: rowStep)
    for row in 0..<band.rows {
      for column in 0..<band.width {
        let borderClass = band.borderClass(row: band.firstRow + row, column: column)
        let sum = foldedGradient + foldedBias + borderClass * outChannels
        let from = pictureOutputGradient + ((band.firstRow + row) * band.width + column) * outChannels
        for channel in 0..<outChannels { sum[channel] += from[channel] }
      }
    }
  }
}
