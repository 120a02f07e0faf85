// What is public in the modules below is part of this one: images, settings and errors.
@_exported import GlowFiles
@_exported import GlowFlow
@_exported import GlowImages
@_exported import GlowKernels
@_exported import GlowLatents
@_exported import GlowTraining
