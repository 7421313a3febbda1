// SPDX-License-Identifier: MIT
// Goal: every rule has a sentence and a cure, and other values have none.
#include <belay/room/room_protocol_rule.hpp>

#include <string_view>

namespace {

using belay::check::RoomProtocolRule;

consteval bool all_have_texts() {
    for (int i = 0; i <= static_cast<int>(RoomProtocolRule::disjoint_is_reliable); ++i) {
        const auto* const text = belay::detail::text_of(static_cast<RoomProtocolRule>(i));
        if (text == nullptr || std::string_view{text->sentence}.empty() ||
            std::string_view{text->cure}.empty())
            return false;
    }
    return true;
}

static_assert(all_have_texts());
static_assert(to_string(static_cast<RoomProtocolRule>(99)) == std::string_view{"unknown"});
static_assert(belay::detail::text_of(static_cast<RoomProtocolRule>(
                  static_cast<int>(RoomProtocolRule::disjoint_is_reliable) + 1)) == nullptr);

}  // namespace
