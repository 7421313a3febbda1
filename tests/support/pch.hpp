// SPDX-License-Identifier: MIT
// The headers that every test file includes, compiled once. No header of belay is in it.
#include "support/catch.hpp"
