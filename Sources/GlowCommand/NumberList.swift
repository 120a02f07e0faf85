import ArgumentParser
import Foundation

/// A list of numbers such as "-1,0,0.5".
struct NumberList: ExpressibleByArgument {
  let values: [Double]

  init(_ values: [Double]) { self.values = values }

  init?(argument: String) {
    let values = argument.split(separator: ",", omittingEmptySubsequences: false).map { Double($0) }
    if values.contains(where: { $0?.isFinite != true }) { return nil }
    self.values = values.map { $0! }
  }

  var defaultValueDescription: String { values.map { String(format: "%g", $0) }.joined(separator: ",") }
}
