import GlowKernels

/// The logit that takes pixel values to all real numbers (section 4.1 of Dinh et al. 2017):
/// y = ln p − ln(1 − p) with p = α + (1 − 2α)·(x + ½), for x in [−½, ½] and a margin α above 0.
///
/// With β = 1 − 2α, p = ½ + β·x and 1 − p = ½ − β·x, so nothing is lost near either end. The log-determinant of a picture
/// is Σ (ln β − ln p − ln(1 − p)).
struct Logit: Layer {
  let name = "logit"
  let title = "the logit of the images"

  /// β.
  private let contraction: Double

  /// - Parameter margin: α.
  init(margin: Double) { contraction = 1 - 2 * margin }

  func stages(_ direction: Direction) -> [Stage] { [.start] }

  @specialized(where S == Float)
  @specialized(where S == Double)
  func forward<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    for image in 0..<site.tile.imageCount {
      let (x, y) = (site.input.part(image), site.output.part(image))
      var sum = 0.0
      for index in 0..<x.rows * x.columns {
        let scaled = contraction * Double(x.base[index])
        let (a, b) = (Elementary.log(0.5 + scaled), Elementary.log(0.5 - scaled))
        y.base[index] = S(a - b)
        sum -= a + b
      }
      site.add(
        logDeterminant: sum + Double(x.rows * x.columns) * Elementary.log(contraction), image: image)
    }
  }

  /// x = (sigmoid(y) − ½)/β = tanh(y/2)/(2β).
  @specialized(where S == Float)
  @specialized(where S == Double)
  func inverse<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    for image in 0..<site.tile.imageCount {
      let (x, y) = (site.input.part(image), site.output.part(image))
      for index in 0..<x.rows * x.columns {
        x.base[index] = S(Elementary.tanh(Double(y.base[index]) / 2) / (2 * contraction))
      }
    }
  }

  /// With q = 1/p and r = 1/(1 − p): dx = β·(dy·(q + r) + dlogdet·(r − q)).
  @specialized(where S == Float)
  @specialized(where S == Double)
  func backward<S: Scalar>(_ stage: Stage, _ site: Site<S>) {
    let target = site.inputGradient ?? site.gradient!
    for image in 0..<site.tile.imageCount {
      let (x, dx, dy) = (site.input.part(image), target.part(image), site.gradient!.part(image))
      let weight = Double(site.likelihoodWeight(image))
      for index in 0..<x.rows * x.columns {
        let scaled = contraction * Double(x.base[index])
        let (q, r) = (1 / (0.5 + scaled), 1 / (0.5 - scaled))
        dx.base[index] = S(contraction * (Double(dy.base[index]) * (q + r) + weight * (r - q)))
      }
    }
  }
}
