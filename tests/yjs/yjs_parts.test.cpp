// SPDX-License-Identifier: MIT
// Goal: a state that is requested in parts is whole, and each part is as real Yjs clients send it.
// Method: documents of several authors; the real y-protocols, as docs/room-clients.md describes.
#include <belay/yjs/yjs_document.hpp>

#include <algorithm>
#include <map>
#include <sstream>
#include <string>

#include "support/catch.hpp"
#include "support/room/node.hpp"
#include "support/yjs/yjs_editor.hpp"

using namespace belay;
using namespace belay_test;

namespace {

/// A document in which each of these authors has typed so many letters.
YjsDocument typed_by(std::uint64_t authors, std::uint64_t letters) {
    YjsDocument document;
    for (std::uint64_t author = 1; author <= authors; ++author)
        CHECK_FALSE(document.apply(typed(author, 0, std::string(letters, 'x'))));
    return document;
}
std::size_t bytes_of(const std::vector<Bytes>& all) {
    std::size_t bytes = 0;
    for (const Bytes& one : all) bytes += one.size();
    return bytes;
}

}  // namespace

TEST_CASE("YjsDocument::state_requests: the answers to all of them are the state",
          "[yjs][yjs_parts][unit]") {
    const std::uint64_t authors = GENERATE(2U, 3U, 64U, 65U, 200U);
    const bool backwards = GENERATE(false, true);
    YjsDocument theirs = typed_by(authors, 100);
    CHECK_FALSE(theirs.apply(deletion_of(2, 10, 5)));
    YjsDocument ours;
    CHECK_FALSE(ours.apply(typed(1, 0, std::string(40, 'x'))));
    CHECK_FALSE(ours.apply(typed(1'000, 0, "they lack it")));
    const auto requests = ours.state_requests(theirs.state_vector(), 65'536);
    CHECK(requests.size() >= std::min<std::size_t>(authors, 32));
    CHECK(requests.size() <= std::min<std::size_t>(authors, 64));
    CHECK(bytes_of(requests) <= 65'536);
    for (std::size_t i = 0; i < requests.size(); ++i) {
        const auto answer = theirs.diff(requests[backwards ? requests.size() - 1 - i : i]);
        REQUIRE(answer);
        CHECK(answer->size() < 120 * (authors / requests.size() + 1));
        const auto summary = yjs::validate(*answer, yjs::Limits::none());
        REQUIRE(summary);
        CHECK(summary->clients >= 1);
        // Each one has all deletions.
        CHECK(summary->delete_ranges == 1);
        CHECK_FALSE(ours.apply(*answer));
    }
    CHECK_FALSE(theirs.apply(typed(1'000, 0, "they lack it")));
    CHECK(ours.state_vector() == theirs.state_vector());
    CHECK(to_bytes(ours.snapshot().front()) == to_bytes(theirs.snapshot().front()));
}

TEST_CASE("YjsDocument::state_requests returns none if there would be one part, or too many bytes",
          "[yjs][yjs_parts][unit]") {
    YjsDocument ours = typed_by(3, 100);
    CHECK(ours.state_requests(typed_by(3, 100).state_vector(), 65'536).empty());
    YjsDocument theirs = typed_by(2, 100);
    CHECK_FALSE(theirs.apply(typed(9, 0, "x")));
    CHECK(ours.state_requests(theirs.state_vector(), 65'536).empty());
    CHECK_FALSE(theirs.apply(typed(8, 0, "x")));
    const auto two = ours.state_requests(theirs.state_vector(), 65'536);
    CHECK(two.size() == 2);
    // Four authors of 6 bytes, and their number.
    CHECK(bytes_of(two) <= 50);
    CHECK(ours.state_requests(theirs.state_vector(), 50).size() == 2);
    CHECK(ours.state_requests(theirs.state_vector(), 49).empty());
    CHECK(ours.state_requests(theirs.state_vector(), 0).empty());
    CHECK(ours.state_requests(Bytes(3, std::byte{255}), 65'536).empty());
    CHECK(ours.state_requests({}, 65'536).empty());
    // An author that is named twice.
    CHECK(ours.state_requests(from_hex("0209010902"), 65'536).size() <= 2);
    CHECK(YjsDocument{}.state_requests(ours.state_vector(), 65'536).size() == 3);
}

TEST_CASE("Yjs clients send the state of one author if requested, but no limited part of it",
          "[yjs][yjs_parts][spec]") {
    RealYjs yjs;
    if (!yjs.is_here()) return;
    std::map<std::string, std::size_t> bytes;
    for (const std::string& line : yjs.run("parts.mjs")) {
        std::istringstream words{line};
        std::string request;
        words >> request;
        words >> bytes[request];
    }
    CHECK(bytes["all"] > 3'000'000);
    CHECK(bytes["one-author"] > 1'000'000);
    CHECK(bytes["one-author"] < 1'001'000);
    CHECK(bytes["end-of-author"] < 501'000);
    // Only the end of an author's edits can be requested, so the begin brings all of them.
    CHECK(bytes["begin-of-author"] > 1'000'000);
    CHECK(bytes["one-value"] > 3'000'000);
    CHECK(bytes["only-deletions"] > 30'000);
    CHECK(bytes["merged"] == 3'000'000);
}
