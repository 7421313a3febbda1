// SPDX-License-Identifier: MIT
// Goal: every rule has its own text.
#include <belay/link/transport_check.hpp>

#include <string_view>

using namespace belay;

namespace {
constexpr bool all_differ() {
    const auto last = static_cast<int>(check::TransportRule::destructor_reports_nothing);
    for (int i = 0; i <= last; ++i) {
        const std::string_view text = to_string(static_cast<check::TransportRule>(i));
        if (text == "unknown") return false;
        for (int j = 0; j < i; ++j) {
            if (text == to_string(static_cast<check::TransportRule>(j))) return false;
        }
    }
    return std::string_view{to_string(static_cast<check::TransportRule>(last + 1))} == "unknown";
}
}  // namespace

static_assert(all_differ());
