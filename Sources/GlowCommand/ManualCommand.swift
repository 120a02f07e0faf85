import ArgumentParser
import Foundation
import GlowFiles
import GlowStorage

/// Writes the manual pages, for those who package the command: `make install` calls it.
struct ManualCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "manual", abstract: "Write the manual pages.", shouldDisplay: false)

  @Argument(help: "The folder to write them in.") var folder: String

  func run() throws {
    try Destination.prepare([Destination("FOLDER", folder, .folder)], inputs: [])
    for page in try Manual.pages() { try AtomicFile.write(page.text, to: "\(folder)/\(page.name).1") }
  }
}

/// A page for `glow` and one for each of its commands, made from what the parser knows of them.
enum Manual {
  typealias Page = (name: String, text: String)

  static func pages() throws -> [Page] {
    let glow = try JSONDecoder().decode(Tool.self, from: Data(GlowCommand._dumpHelp().utf8)).command
    let commands = (glow.subcommands ?? []).filter { $0.shouldDisplay && $0.commandName != "help" }
    return [page(of: glow, commands)] + commands.map(page)
  }

  // MARK: What the parser tells

  private struct Tool: Decodable { let command: Command }

  private struct Command: Decodable {
    let commandName: String
    let shouldDisplay: Bool
    let abstract: String?
    let discussion: String?
    let subcommands: [Command]?
    let arguments: [Argument]?

    /// Without what the parser adds to each.
    var ownArguments: [Argument] {
      (arguments ?? []).filter { $0.shouldDisplay && !["help", "version"].contains($0.valueName) }
    }
  }

  private struct Argument: Decodable {
    struct Name: Decodable {
      let kind: String
      let name: String
      var text: String { (kind == "long" ? "--" : "-") + name }
    }

    let kind: String
    let shouldDisplay: Bool
    let sectionTitle: String?
    let isOptional: Bool
    let isRepeating: Bool
    let names: [Name]?
    let valueName: String?
    let defaultValue: String?
    let allValues: [String]?
    let abstract: String?
    let discussion: String?

    /// As the user writes it.
    var form: String {
      let value = "\\fI\(escaped(valueName ?? "value"))\\fR\(isRepeating ? " …" : "")"
      if kind == "positional" { return value }
      let names = (names ?? []).map { "\\fB\(escaped($0.text))\\fR" }.joined(separator: ", ")
      return kind == "flag" ? names : "\(names) \(value)"
    }

    var explanation: String {
      var parts = [abstract, discussion].compactMap { $0 }.filter { !$0.isEmpty }
      if let allValues, !allValues.isEmpty {
        parts.append("One of: \(allValues.joined(separator: ", ")).")
      }
      if let defaultValue { parts.append("Default: \(defaultValue).") }
      return escaped(parts.joined(separator: " "))
    }
  }

  // MARK: Pages

  private static func page(of glow: Command, _ commands: [Command]) -> Page {
    let list = commands.map { command in
      ".TP\n\\fBglow\\-\(escaped(command.commandName))\\fR(1)\n\(escaped(command.abstract ?? ""))"
    }
    let text = """
      \(head("glow"))
      .SH NAME
      glow \\- train and use a normalizing flow on images
      .SH SYNOPSIS
      .B glow
      .I command
      .RI [ options ]
      .SH DESCRIPTION
      \(escaped(glow.abstract ?? ""))
      .SH COMMANDS
      \(list.joined(separator: "\n"))
      .SH OPTIONS
      .TP
      \\fB\\-\\-version\\fR
      Show the version.
      .TP
      \\fB\\-h\\fR, \\fB\\-\\-help\\fR
      Show the commands, or the options of a command.
      .SH EXIT STATUS
      0 if all went well; 64 if the arguments make no sense; 128 and the number of a signal that ended the job; else 1.
      Of anything but 0 a line on standard error says why.
      .SH ENVIRONMENT
      .TP
      .B GLOW_KERNELS
      packed or openblas: the matrix products, where \\fB\\-\\-kernels\\fR is not given.
      .TP
      .B GLOW_INSTRUCTIONS
      avx2 or avx512: the instructions of packed products. Only their speed depends on it.
      .TP
      .B OPENBLAS_CORETYPE
      The kernels of OpenBLAS, which else follow from the processor.
      .SH EXAMPLES
      .nf
      glow train \\-\\-data faces \\-\\-out run \\-\\-steps 500
      glow evaluate run \\-\\-data faces
      glow sample run \\-\\-temperature 0.7 \\-\\-out samples.png
      .fi
      """
    return ("glow", text + "\n")
  }

  private static func page(of command: Command) -> Page {
    let name = "glow-\(command.commandName)"
    let abstract = command.abstract ?? ""
    let ended = abstract.hasSuffix(".") ? String(abstract.dropLast()) : abstract
    let needed = command.ownArguments.filter { !$0.isOptional || $0.kind == "positional" }
    let synopsis = needed.map { $0.isOptional ? "[\($0.form)]" : $0.form }.joined(separator: " ")
    var text = """
      \(head(name))
      .SH NAME
      \(escaped(name)) \\- \(escaped(ended))
      .SH SYNOPSIS
      \\fBglow \(escaped(command.commandName))\\fR \(synopsis) [\\fIoptions\\fR]
      .SH DESCRIPTION
      \(escaped(ended)).
      """
    if let discussion = command.discussion, !discussion.isEmpty { text += "\n.PP\n\(escaped(discussion))" }
    var titles: [String] = []
    for argument in command.ownArguments {
      let title = (argument.sectionTitle ?? "Options").uppercased()
      if !titles.contains(title) { titles.append(title) }
    }
    for title in titles {
      text += "\n.SH \(escaped(title))"
      for argument in command.ownArguments where (argument.sectionTitle ?? "Options").uppercased() == title {
        text += "\n.TP\n\(argument.form)\n\(argument.explanation)"
      }
    }
    return (name, "\(text)\n.SH SEE ALSO\n.BR glow (1)\n")
  }

  private static func head(_ name: String) -> String {
    ".TH \(name.uppercased().replacing("-", with: "\\-")) 1 \"\" \"glow \(Release.version)\" \"Glow\""
  }

  /// Text as it is: with no hyphen where a minus is meant, and no line that begins with a request.
  private static func escaped(_ text: String) -> String {
    text.replacing("\\", with: "\\e").replacing("-", with: "\\-").split(separator: "\n").map {
      $0.hasPrefix(".") || $0.hasPrefix("'") ? "\\&\($0)" : String($0)
    }.joined(separator: "\n")
  }
}
