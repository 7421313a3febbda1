// SPDX-License-Identifier: MIT
#include <belay/version.hpp>

#include <asio/version.hpp>

int main() { return ASIO_VERSION >= 102200 ? 0 : 1; }
