// SPDX-License-Identifier: MIT
// What every test file includes anyway, compiled once. No header of belay is in it.
#include "support/catch.hpp"
