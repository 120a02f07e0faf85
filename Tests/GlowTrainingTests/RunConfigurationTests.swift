import Foundation
import GlowFlow
import Testing

@testable import GlowTraining

@Suite("Settings of a run")
struct RunConfigurationTests {
  @Test("settings as version 0.1 spelled them")
  func formerNames() throws {
    var training = TrainingConfiguration()
    training.optimizer = .adam
    training.dequantization = .none
    training.initializationImages = 77
    let configuration = RunConfiguration(data: "faces", model: GlowConfiguration(), training: training)
    var text = String(decoding: try JSONEncoder().encode(configuration), as: UTF8.self)
    for (name, former) in [
      ("optimizer", "optimiser"), ("dequantization", "dequantisation"),
      ("initializationImages", "initialisationImages"),
    ] {
      #expect(text.contains("\"\(name)\""))
      text = text.replacing("\"\(name)\"", with: "\"\(former)\"")
    }
    #expect(try RunConfiguration.decode(Data(text.utf8), path: "config.json") == configuration)
  }
}
