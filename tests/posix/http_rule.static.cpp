// SPDX-License-Identifier: MIT
// Goal: every rule has its own text.

#include <belay/posix/http_check.hpp>

#include <string_view>

using namespace belay;

namespace {
constexpr bool all_http_rules_differ() {
    const auto last = static_cast<int>(check::HttpRule::response_belongs_to_its_request);
    for (int i = 0; i <= last; ++i) {
        const std::string_view text = to_string(static_cast<check::HttpRule>(i));
        if (text == "unknown") return false;
        for (int j = 0; j < i; ++j) {
            if (text == to_string(static_cast<check::HttpRule>(j))) return false;
        }
    }
    return std::string_view{to_string(static_cast<check::HttpRule>(last + 1))} == "unknown";
}
}  // namespace

static_assert(all_http_rules_differ());
