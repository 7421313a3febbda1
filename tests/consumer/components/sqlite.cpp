// SPDX-License-Identifier: MIT
#include <belay/version.hpp>

#include <sqlite3.h>

int main() { return sqlite3_libversion() != nullptr ? 0 : 1; }
