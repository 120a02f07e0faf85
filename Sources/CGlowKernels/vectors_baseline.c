// What every processor can do that the package is built for.
#define TARGET
#define NAME(name) name##_baseline

#include "elementwise_kernel.h"
#include "patches_kernel.h"
