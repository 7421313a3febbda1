// SPDX-License-Identifier: MIT
// Goal: every rule has its own text.
#include <belay/drive/driver_check.hpp>

#include <string_view>

using namespace belay;

namespace {
constexpr bool all_differ() {
    const auto last = static_cast<int>(check::DriverRule::ends_before_machines);
    for (int i = 0; i <= last; ++i) {
        const std::string_view text = to_string(static_cast<check::DriverRule>(i));
        if (text == "unknown") return false;
        for (int j = 0; j < i; ++j) {
            if (text == to_string(static_cast<check::DriverRule>(j))) return false;
        }
    }
    return std::string_view{to_string(static_cast<check::DriverRule>(last + 1))} == "unknown";
}
}  // namespace

static_assert(all_differ());
