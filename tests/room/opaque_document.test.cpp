// SPDX-License-Identifier: MIT
// Goal: OpaqueDocument keeps each opaque update once, in order, within its limits, and a
// snapshot restores it. Method: handwritten updates, and random updates compared with a plain
// list.
#include <belay/room/opaque_document.hpp>

#include <algorithm>
#include <string>

#include <belay/core/random.hpp>

#include "support/catch.hpp"
#include "support/default_member.hpp"

using namespace belay;

namespace {

std::string text_of(const OpaqueDocument& document) {
    std::string text;
    for (const Bytes& update : document.snapshot()) text += std::string{as_text(update)} + ",";
    return text;
}

bool adds_to_log(const OpaqueDocument& document, const std::string& update) {
    const auto checked = document.check(as_bytes(update));
    REQUIRE(checked);
    return *checked;
}

}  // namespace

static_assert(belay_test::DefaultMember<OpaqueDocument>);

TEST_CASE("OpaqueDocument keeps each update once, in order", "[room][opaque_document][unit]") {
    OpaqueDocument document;
    CHECK(document.snapshot().empty());
    for (const char* const update : {"b", "a", "", "ab", "b", "a", "c"}) {
        CHECK(!document.apply(as_bytes(update)));
    }
    CHECK(text_of(document) == "b,a,ab,c,");
    CHECK(document.bytes() == 5);
    CHECK(!adds_to_log(document, "ab"));
    CHECK(!adds_to_log(document, ""));
    CHECK(adds_to_log(document, "abc"));

    OpaqueDocument again;
    for (const Bytes& update : document.snapshot()) CHECK(!again.apply(update));
    CHECK(text_of(again) == text_of(document));
    const OpaqueDocument copy = document;
    CHECK(!document.apply(as_bytes("d")));
    CHECK(text_of(copy) == "b,a,ab,c,");
    CHECK(!adds_to_log(copy, "ab"));
    CHECK(adds_to_log(copy, "d"));
}

TEST_CASE("OpaqueDocument rejects new updates at its limits", "[room][opaque_document][unit]") {
    OpaqueDocument document{{.update_bytes_max = 3, .updates_max = 3, .bytes_max = 6}};
    CHECK(document.check(as_bytes("abcd")).error() == RoomErrc::update_too_large);
    CHECK(!document.apply(as_bytes("abc")));
    CHECK(!document.apply(as_bytes("x")));
    CHECK(document.check(as_bytes("abd")).error() == RoomErrc::document_full);
    CHECK(adds_to_log(document, "ab"));
    CHECK(!document.apply(as_bytes("y")));
    CHECK(document.check(as_bytes("z")).error() == RoomErrc::document_full);
    CHECK(!adds_to_log(document, "x"));
    // A stored update must be loaded, although it exceeds the limits of now.
    CHECK(!document.apply(as_bytes("longer")));
    CHECK(document.bytes() == 11);
    CHECK(document.check(as_bytes("z")).error() == RoomErrc::document_full);
}

TEST_CASE("OpaqueDocument contains the same updates as a plain list",
          "[room][opaque_document][property]") {
    Random bits{Seed{5}};
    OpaqueDocument document;
    std::vector<std::string> model;
    for (int i = 0; i < 2000; ++i) {
        std::string update(1 + uniform_upto(bits, 3), 'a');
        for (char& c : update) c = static_cast<char>(uniform_upto(bits, 5));
        const bool is_new = std::find(model.begin(), model.end(), update) == model.end();
        REQUIRE(adds_to_log(document, update) == is_new);
        REQUIRE(!document.apply(as_bytes(update)));
        if (is_new) model.push_back(update);
        REQUIRE(document.snapshot().size() == model.size());
        REQUIRE(as_text(document.snapshot().back()) == model.back());
    }
}
