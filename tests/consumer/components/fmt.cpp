// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <belay/adapter/fmt_format.hpp>

int main() { return fmt::format("{}", belay::Cause::lost) == "lost" ? 0 : 1; }
