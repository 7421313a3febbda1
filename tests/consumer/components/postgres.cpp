// SPDX-License-Identifier: MIT
#include <belay/version.hpp>

#include <libpq-fe.h>

int main() { return PQlibVersion() != 0 ? 0 : 1; }
