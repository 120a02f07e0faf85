import Synchronization

/// The Python interpreter of the search path, where there is one.
package enum Python {
  /// Runs a program with arguments to its end.
  package static func run(_ program: String, _ arguments: String...) throws -> ChildProcess {
    try ChildProcess.run("/usr/bin/env", ["python3", "-c", program] + arguments)
  }

  /// Those of the modules that cannot be imported, or "python3".
  static func missing(_ modules: [String]) -> [String] {
    if canRun("pass") { modules.filter { !canRun("import \($0)") } } else { ["python3"] }
  }

  private static let answers = Mutex<[String: Bool]>([:])

  private static func canRun(_ program: String) -> Bool {
    answers.withLock { answers in
      if let answer = answers[program] { return answer }
      let answer = (try? run(program))?.status == 0
      answers[program] = answer
      return answer
    }
  }
}
