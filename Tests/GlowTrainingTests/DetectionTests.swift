import Foundation
import GlowFiles
import GlowKernels
import Testing

@testable import GlowTraining

@Suite("Detection of foreign images")
struct DetectionTests {
  @Test("a score that separates the sets, one that is no use, and one that is upside down")
  func extremes() {
    let perfect = DetectionMetrics(known: [1, 2, 3], foreign: [4, 5])
    #expect((perfect.auroc, perfect.averagePrecision, perfect.falsePositiveRate) == (1, 1, 0))
    let useless = DetectionMetrics(known: [7, 7, 7], foreign: [7])
    #expect((useless.auroc, useless.averagePrecision, useless.falsePositiveRate) == (0.5, 0.25, 1))
    let reversed = DetectionMetrics(known: [4, 5], foreign: [1, 2])
    #expect(reversed.auroc == 0 && reversed.falsePositiveRate == 1)
    // Recall 1/2 at precision 1/3, recall 1 at precision 2/4.
    #expect(abs(reversed.averagePrecision - (1.0 / 3 + 2.0 / 4) / 2) < 1e-15)
  }

  @Test("values by hand, with ties")
  func byHand() {
    // From the top: 3 foreign; 2 foreign, known; 1 known, known; 0 foreign.
    let metrics = DetectionMetrics(known: [2, 1, 1], foreign: [3, 2, 0])
    // Pairs won by the foreign one: 3 + 2.5 + 0 of 9.
    #expect(abs(metrics.auroc - 5.5 / 9) < 1e-15)
    #expect(abs(metrics.averagePrecision - (1 + 2.0 / 3 + 3.0 / 6) / 3) < 1e-15)
    #expect(metrics.falsePositiveRate == 1)
  }

  @Test("AUROC is the share of pairs won, and the false positive rate that of the best threshold")
  func pairs() {
    // Rounded, so that there are ties.
    var draws = [Double](repeating: 0, count: 700)
    draws.withUnsafeMutableBufferPointer { Philox(seed: 5, purpose: .latents).fillNormal($0) }
    let known = draws[..<400].map { ($0 * 4).rounded() }
    let foreign = draws[400...].map { ($0 * 4 + 3).rounded() }
    let metrics = DetectionMetrics(known: known, foreign: foreign)
    var won = 0.0
    for k in known { for f in foreign { won += f > k ? 1 : f == k ? 0.5 : 0 } }
    #expect(abs(metrics.auroc - won / Double(known.count * foreign.count)) < 1e-12)
    let rates = Set(known + foreign).compactMap { threshold in
      foreign.count { $0 >= threshold } * 100 >= 95 * foreign.count
        ? Double(known.count { $0 >= threshold }) / Double(known.count) : nil
    }
    #expect(metrics.falsePositiveRate == rates.min()!)
    #expect(metrics == DetectionMetrics(known: known.reversed(), foreign: foreign.reversed()))
  }

  @Test("quantiles interpolate between the images, whatever their order")
  func quantiles() {
    let score = Score([4, 1, 3, 2])
    #expect([0, 0.5, 1, 0.25].map(score.quantile) == [1, 2.5, 4, 1.75])
    #expect(score.bitsPerDimension == 2.5)
    #expect(abs((score.standardError ?? 0) - (5.0 / 3 / 4).squareRoot()) < 1e-15)
    #expect(Score([2]).quantile(0.3) == 2 && Score([2]).standardError == nil)
  }

  @Test("the mean of log-weights neither overflows nor loses a single draw's value")
  func logMean() {
    #expect(logMeanExponential([-9563.25]) == -9563.25)
    #expect(abs(logMeanExponential([1000, 1000 + log(3.0)]) - (1000 + log(2.0))) < 1e-12)
    #expect(logMeanExponential([0, -5000]) == -log(2.0))
  }

  @Test("the mean of the training images is read from a model's metadata, or refused")
  func metadata() throws {
    #expect(try TrainingBits.read([:], path: "m") == nil)
    #expect(try TrainingBits.read([TrainingBits.key: "3.25"], path: "m")?.mean == 3.25)
    let kept = TrainingBits(mean: 4.5, dequantization: DequantizationKind.none)
    #expect(try TrainingBits.read(kept.metadata, path: "m") == kept)
    var other = kept.metadata
    other["glow.mean_training_dequantization"] = "some"
    #expect(
      throws: FileError(
        "m", "glow.mean_training_dequantization: is 'some', expected one of uniform, none, variational")
    ) { try TrainingBits.read(other, path: "m") }
    for text in ["", "many", "nan", "inf"] {
      #expect(throws: FileError("m", "\(TrainingBits.key): is '\(text)', expected a number")) {
        try TrainingBits.read([TrainingBits.key: text], path: "m")
      }
    }
  }
}
