#pragma once
// Open MPI's header where it is installed (Debian: libopenmpi-dev). There is nothing to link: CRanks loads the library
// in processes that mpirun has started, so that a command that is built here also runs where there is none.
#if __has_include(<mpi/mpi.h>)
#include <mpi/mpi.h>
#elif __has_include(<mpi.h>)
#include <mpi.h>
#endif
