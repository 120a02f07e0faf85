import ArgumentParser

/// Finds names of commands and options that are misspelt, and says which may have been meant.
enum Spelling {
  /// - Throws: `ValidationError` if the first argument, or that of `help`, is no command.
  static func checkCommand(_ arguments: [String]) throws {
    let names = arguments.first == "help" ? arguments.dropFirst() : arguments[...]
    guard let name = names.first, !name.hasPrefix("-"), name != "help", command(name) == nil else { return }
    throw ValidationError("there is no command '\(name)'\(suggestion(for: name, among: commandNames))")
  }

  /// - Throws: `ValidationError` if an argument looks like an option that the command does not have.
  static func checkOptions(_ arguments: [String]) throws {
    let arguments = arguments.first == "help" ? arguments.dropFirst() : arguments[...]
    let command = arguments.first.flatMap(command)
    if command == nil && arguments.first?.hasPrefix("-") != true { return }
    let known = optionNames(of: command ?? GlowCommand.self)
    for argument in arguments.dropFirst(command == nil ? 0 : 1) {
      if argument == "--" { return }
      let name = String(argument.prefix { $0 != "=" })
      // What begins with a digit is a number, and a path may be "-".
      let isOption = name.hasPrefix("--") || (name.hasPrefix("-") && name.dropFirst().first?.isLetter == true)
      if isOption && !known.contains(name) {
        throw ValidationError("there is no option '\(name)'\(suggestion(for: name, among: known))")
      }
    }
  }

  static func isCommand(_ name: String) -> Bool { command(name) != nil }

  private static var commandNames: [String] {
    GlowCommand.configuration.subcommands.compactMap { $0.configuration.commandName } + ["help"]
  }

  private static func command(_ name: String) -> (any ParsableCommand.Type)? {
    GlowCommand.configuration.subcommands.first { $0.configuration.commandName == name }
  }

  /// The parser tells them only as part of the help.
  private static func optionNames(of command: any ParsableCommand.Type) -> [String] {
    let help = GlowCommand.helpMessage(for: command, includeHidden: true)
    return help.split { !($0.isLetter || $0.isNumber || $0 == "-") }.filter { $0.hasPrefix("-") }.map(
      String.init)
  }

  private static func suggestion(for name: String, among known: [String]) -> String {
    let closest = known.map { ($0, distance(Array(name), Array($0))) }.min { $0.1 < $1.1 }
    // Of one letter nothing would be left.
    let letters = name.count { $0 != "-" }
    guard let (word, distance) = closest, distance <= max(1, name.count / 3), distance < letters else {
      return ""
    }
    return ": did you mean '\(word)'?"
  }

  /// How many letters must be changed, put in, left out or exchanged with their neighbor to make one word of another.
  static func distance(_ first: [Character], _ second: [Character]) -> Int {
    var rows = [Array(0...second.count)]
    for (row, letter) in first.enumerated() {
      var next = [row + 1]
      for (column, other) in second.enumerated() {
        var best = min(
          next[column] + 1, rows[row][column + 1] + 1, rows[row][column] + (letter == other ? 0 : 1))
        if row > 0 && column > 0 && letter == second[column - 1] && first[row - 1] == other {
          best = min(best, rows[row - 1][column - 1] + 1)
        }
        next.append(best)
      }
      rows.append(next)
    }
    return rows[first.count][second.count]
  }
}
