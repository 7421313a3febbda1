// SPDX-License-Identifier: MIT
// Goal: every rule of stores has a sentence, and other values have none.

#include <belay/sync/store_check.hpp>

#include <string_view>

namespace {

using belay::check::StoreRule;

consteval bool all_store_rules_have_sentences() {
    for (int i = 0; i <= static_cast<int>(StoreRule::notes_are_no_changes); ++i) {
        const std::string_view sentence = to_string(static_cast<StoreRule>(i));
        if (sentence.empty() || sentence == "unknown") return false;
    }
    return true;
}

static_assert(all_store_rules_have_sentences());
static_assert(to_string(static_cast<StoreRule>(99)) == std::string_view{"unknown"});

}  // namespace
