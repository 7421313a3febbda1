// SPDX-License-Identifier: MIT
#include <belay/version.hpp>

#include <lmdb.h>

int main() { return mdb_strerror(0) != nullptr ? 0 : 1; }
