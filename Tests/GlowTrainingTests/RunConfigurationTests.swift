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
    // Settings that version 0.2 did not have.
    let former = text.replacing(/"weightDecay":[^,}]*,?/, with: "")
    #expect(former != text && !former.contains("weightDecay"))
    #expect(try RunConfiguration.decode(Data(former.utf8), path: "config.json") == configuration)
    let recommended = RunConfiguration(data: "faces", model: GlowConfiguration(), training: .recommended())
    text = String(decoding: try JSONEncoder().encode(recommended), as: UTF8.self)
    let unclipped = text.replacing(/"clipRatio":[^,}]*,?/, with: "")
    #expect(unclipped != text)
    #expect(try RunConfiguration.decode(Data(unclipped.utf8), path: "config.json").training.clipRatio == 0)
  }

  @Test("the decay over a run is kept, and none is none")
  func decayTimesSteps() throws {
    for training in [
      TrainingConfiguration.recommended(), .recommended(optimizer: .adam), TrainingConfiguration(),
    ] {
      let configuration = RunConfiguration(data: "faces", model: GlowConfiguration(), training: training)
      let bytes = try JSONEncoder().encode(configuration)
      #expect(try RunConfiguration.decode(bytes, path: "config.json") == configuration)
    }
    var training = TrainingConfiguration.recommended()
    for value in [-1, .nan, .infinity] as [Double] {
      training.decayTimesSteps = value
      #expect(throws: ConfigurationError.self) { try training.validate() }
    }
  }

  @Test("a decay that would take all of a filter, or add to it, is refused", arguments: [-1, 1000, .nan])
  func decay(value: Double) {
    var training = TrainingConfiguration()
    training.weightDecay = value
    let error = #expect(throws: ConfigurationError.self) { try training.validate { "--\($0)" } }
    #expect(
      error?.description
        == "--weightDecay must be at least 0 and less than 1 over the learning rate, not \(value)")
  }
}
