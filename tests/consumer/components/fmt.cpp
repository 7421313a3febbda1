// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <belay/core/fmt_format.hpp>

int main() { return fmt::format("{}", belay::Cause::lost) == "lost" ? 0 : 1; }
