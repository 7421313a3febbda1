// SPDX-License-Identifier: MIT
// Goal: a YjsDocument that had no memory does the same afterwards as one that had it. Method: each
// call of a short history gets memory 0, 1, 2 ... times, and is made again.
#include <belay/yjs/yjs_document.hpp>

#include <new>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/failing_new.hpp"
#include "support/yjs/yjs_editor.hpp"

using namespace belay;
using belay_test::deletion_of;
using belay_test::typed;

namespace {

/// Calls `f()` again and again: first without memory, then with one allocation more each time.
template <class F>
auto with_more_and_more_memory(F&& f) {
    for (std::size_t good = 0;; ++good) {
        try {
            const belay_test::FailingNew failing{good};
            return f();
        } catch (const std::bad_alloc&) {
        }
    }
}

/// The return values of a document's calls, and its final content.
struct Outcome {
    std::vector<bool> accepted;
    Bytes snapshot;
    bool operator==(const Outcome&) const = default;
};

template <class Call>
Outcome played(Call&& call) {
    // The document is loaded above its limit of authors, and is full of bytes.
    YjsDocument document{{.bytes_max = 2'200, .clients_max = 10}};
    for (std::uint64_t author = 1; author <= 20; ++author)
        REQUIRE(!document.apply(typed(author, 0, std::string(95, 'x'))));
    Outcome outcome;
    const auto add = [&](const Bytes& update) {
        const bool accepted = call([&] { return document.check(update).has_value(); });
        outcome.accepted.push_back(accepted);
        if (accepted) REQUIRE(!document.apply(update));
    };
    add(typed(21, 0, "y"));
    add(typed(22, 0, std::string(500, 'y')));
    add(deletion_of(1, 0, 95));
    add(typed(1, 95, std::string(90, 'z')));
    add(deletion_of(2, 0, 95));
    outcome.snapshot = call([&] {
        const auto parts = document.snapshot();
        return parts.empty() ? Bytes{} : Bytes{parts.front()};
    });
    return outcome;
}

}  // namespace

TEST_CASE("YjsDocument does the same after calls that had no memory",
          "[room][allocation][fault][regression]") {
    const Outcome wanted = played([](auto&& f) { return f(); });
    CHECK(wanted.accepted == std::vector<bool>{true, false, true, true, true});
    CHECK(as_text(wanted.snapshot).find("xxx") != std::string_view::npos);
    CHECK(played([](auto&& f) { return with_more_and_more_memory(f); }) == wanted);
}
