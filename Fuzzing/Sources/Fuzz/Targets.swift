/// Every reader of files.
let targets = imageTargets + modelTargets + runTargets
