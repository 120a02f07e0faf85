import Foundation
import GlowFiles
import GlowFlow
import GlowKernels
import GlowLatents
import GlowTraining

/// What cannot be done, and why, in one line. Functions of this library also throw errors of its parts; the description of
/// each is such a line.
public struct GlowError: Error, CustomStringConvertible {
  public let description: String

  init(_ description: String) { self.description = description }
}

// What an error says where Foundation asks for it.
extension GlowError: LocalizedError { public var errorDescription: String? { description } }
extension FileError: LocalizedError { public var errorDescription: String? { description } }
extension ConfigurationError: LocalizedError { public var errorDescription: String? { description } }
extension TrainingError: LocalizedError { public var errorDescription: String? { description } }
extension MemoryError: LocalizedError { public var errorDescription: String? { description } }
extension AttributeError: LocalizedError { public var errorDescription: String? { description } }
extension LinearAlgebraError: LocalizedError { public var errorDescription: String? { description } }
extension SingularMapError: LocalizedError { public var errorDescription: String? { description } }
