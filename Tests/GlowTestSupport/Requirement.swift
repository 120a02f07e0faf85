import Foundation
import Synchronization
import Testing

/// Skips a test where the machine lacks what it needs. When all tests have run, a line for each kind of requirement
/// says how many ran, how many did not, and why.
package struct Requirement: TestTrait, SuiteTrait {
  /// The name of such tests.
  fileprivate let tests: String
  /// What the machine lacks, or nil.
  fileprivate let lack: @Sendable () -> String?

  /// Each test of a suite is counted.
  package var isRecursive: Bool { true }

  package func prepare(for test: Test) async throws {
    if test.isSuite { return }
    let lack = lack()
    Tally.count(tests, lack: lack)
    try await ConditionTrait.disabled(if: lack != nil, "\(lack ?? "")").prepare(for: test)
  }
}

extension Trait where Self == Requirement {
  /// The test needs python3 with these modules.
  package static func python(_ modules: String...) -> Requirement {
    Requirement(tests: "Python-backed tests") {
      let missing = Python.missing(modules)
      return missing.isEmpty ? nil : "no " + missing.joined(separator: ", ")
    }
  }

  /// The test reads the real data sets in the folder `realData`.
  package static var realData: Requirement {
    Requirement(tests: "Tests on real data sets") {
      GlowTestSupport.realData == nil ? "GLOW_TEST_DATA is not set" : nil
    }
  }
}

extension Trait where Self == Requirement {
  /// The test compares with the values in the folder `referenceValues`.
  package static var referenceValues: Requirement {
    Requirement(tests: "Tests against values of other implementations") {
      GlowTestSupport.referenceValues == nil ? "GLOW_TEST_REFERENCE is not set" : nil
    }
  }
}

extension Trait where Self == Requirement {
  /// The test does not run under a sanitizer (`make sanitize`), and why.
  package static func unsanitized(_ reason: String) -> Requirement {
    Requirement(tests: "Tests that no sanitizer runs") { isSanitized ? reason : nil }
  }

  /// The test needs something else of the machine.
  ///
  /// - Parameters:
  ///   - tests: the name of such tests.
  ///   - holds: whether the machine has it.
  ///   - lack: what is said if it does not.
  package static func needs(
    _ tests: String, _ holds: @autoclosure @escaping @Sendable () -> Bool, lack: String
  ) -> Requirement {
    Requirement(tests: tests) { holds() ? nil : lack }
  }
}

/// The folder of values that another implementation of RealNVP has computed, which `GLOW_TEST_REFERENCE` names.
package let referenceValues = ProcessInfo.processInfo.environment["GLOW_TEST_REFERENCE"]

/// The folder of real data sets, which `GLOW_TEST_DATA` names.
package let realData = ProcessInfo.processInfo.environment["GLOW_TEST_DATA"]

/// How many tests of each kind ran.
package struct Tally {
  private var ran = 0
  private var skipped = 0
  private var lacks: Set<String> = []

  private static let tallies = Mutex<[String: Tally]>([:])

  /// Counts a test of a kind, whose names are `tests`.
  ///
  /// - Parameter lack: why it did not run, or nil if it did.
  package static func count(_ tests: String, lack: String?) {
    tallies.withLock { tallies in
      if tallies.isEmpty { atexit { Tally.report() } }
      var tally = tallies[tests] ?? Tally()
      if let lack {
        tally.skipped += 1
        tally.lacks.insert(lack)
      } else {
        tally.ran += 1
      }
      tallies[tests] = tally
    }
  }

  private static func report() {
    for (tests, tally) in tallies.withLock({ $0 }).sorted(by: { $0.key < $1.key }) {
      let reasons = tally.lacks.isEmpty ? "" : " (\(tally.lacks.sorted().joined(separator: "; ")))"
      print("\(tests): \(tally.ran) ran, \(tally.skipped) skipped\(reasons)")
    }
  }
}
