// SPDX-License-Identifier: MIT
// Goal: every rule has a sentence, and other values have none.
#include <belay/room/persistence_check.hpp>

#include <string_view>

namespace {

using belay::check::PersistenceRule;

consteval bool all_have_sentences() {
    for (int i = 0; i <= static_cast<int>(PersistenceRule::failed_flush_names_what_it_rejects);
         ++i) {
        const std::string_view sentence = to_string(static_cast<PersistenceRule>(i));
        if (sentence.empty() || sentence == "unknown") return false;
    }
    return true;
}

static_assert(all_have_sentences());
static_assert(to_string(static_cast<PersistenceRule>(99)) == std::string_view{"unknown"});

}  // namespace
